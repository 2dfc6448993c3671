"""Several facts of one rollout as one decision, and as one write. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.surroundings import NOTHING_AROUND, Surroundings
from rollout_coordinator.advance import Fact, advance
from rollout_coordinator.step import Step

Told = tuple[Fact, datetime]
"""A fact, and when the server stored it: the same for every copy and every replica."""


def folded(
    rollout: Rollout,
    told: Sequence[Told],
    now: datetime,
    around: Surroundings = NOTHING_AROUND,
) -> tuple[Step, int]:
    """The facts in turn as one step, and how many of them it took in.

    It ends with the first fact that sets targets: one write gives a robot one target at most,
    and a bounded number of them. The same rollout object: none of the facts changed anything.
    """
    step = Step(rollout=rollout)
    for count, (fact, stored_at) in enumerate(told, 1):
        following = advance(step.rollout, fact, stored_at, now, around)
        if following.rollout is not step.rollout:
            step = step.then(following)
        if step.targets:
            return step, count
    return step, len(told)
