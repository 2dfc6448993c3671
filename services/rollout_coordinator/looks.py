"""When evidence is looked at, and how much of alpha each look may spend.

A robot's mean settles with time and the number of robots does not grow, so looks soon tell the same.
A look is taken each time the canary's windows grew by GROWTH; look k spends alpha / (k (k + 1)),
all of them together alpha (a spending function in the sense of Lan and DeMets, Biometrika 1983, on
looks in geometric time as in Howard et al., Annals of Statistics 2021). So the chance of a false
alarm is at most alpha however long one looks on, as far as it is at most its share at each look.
"""

from __future__ import annotations

import math

from fleetward.contracts.evidence import Evidence

GROWTH = 1.5


def is_due(evidence: Evidence, reached: int, waiting: int, min_inferences: int) -> bool:
    """Whether this evidence is to be looked at, that of so many robots given the model or waiting.

    The first look comes with a window for each of them, on average: fewer robots tell little.
    """
    inferences = min(evidence.canary.inferences, evidence.control.inferences)
    if inferences < min_inferences or evidence.control_windows < waiting:
        return False
    return evidence.windows >= max(reached, math.ceil(GROWTH * evidence.looked_at_windows), 1)


def share(look: int) -> float:
    """Of alpha, what look number ``look`` (from 1) may spend."""
    return 1 / (look * (look + 1))
