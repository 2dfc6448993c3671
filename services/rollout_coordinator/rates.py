"""Bounds for a rate that hold at every number of trials at once, also with no failure yet.

They invert a test martingale: the likelihood of the trials mixed over all rates by a uniform
prior, against that of one rate (Robbins, Annals of Mathematical Statistics 1970). By Ville's
inequality it ever exceeds 1 / alpha with a chance of at most alpha.
"""

from __future__ import annotations

import math

_STEPS = 40
"""Halvings: a rate is found to one in 10^12."""


def at_least(failures: float, trials: float, alpha: float) -> float:
    """The smallest rate that is not refuted."""
    return _edge(failures, trials, alpha, 0.0)


def at_most(failures: float, trials: float, alpha: float) -> float:
    """The largest rate that is not refuted."""
    return _edge(failures, trials, alpha, 1.0)


def _edge(failures: float, trials: float, alpha: float, end: float) -> float:
    """Between ``end`` and what was seen, where the martingale reaches 1 / alpha."""
    inside, outside = failures / trials if trials else 1.0 - end, end
    if not _is_refuted(outside, failures, trials, alpha):
        return end
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if _is_refuted(middle, failures, trials, alpha):
            outside = middle
        else:
            inside = middle
    return outside


def _is_refuted(rate: float, failures: float, trials: float, alpha: float) -> bool:
    successes = trials - failures
    mixed = math.lgamma(failures + 1) + math.lgamma(successes + 1) - math.lgamma(trials + 2)
    if (rate <= 0 and failures) or (rate >= 1 and successes):
        return True
    single = failures * math.log(rate) if failures else 0.0
    single += successes * math.log1p(-rate) if successes else 0.0
    return mixed - single >= -math.log(alpha)
