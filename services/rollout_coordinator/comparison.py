"""Compares two cohorts robot by robot, stratum by stratum: how far apart, and how surely.

The unit is a robot, since inferences of one robot resemble each other and robots differ: no number
of inferences makes five robots more than five. In each stratum the cohorts' mean robots are
compared by analysis of covariance, with each robot's own mean before the swap as covariate
(Fisher 1932; Deng et al., "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013). The variance between robots is moderated by a prior worth
PRIOR_ROBOTS robots (Smyth, Statistical Applications in Genetics and Molecular Biology 2004), and
strata are combined with the Welch-Satterthwaite degrees of freedom (Biometrics 1946).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from fleetward.contracts.evidence import Spread

PRIOR_ROBOTS = 8.0
"""Robots that the prior variance counts for; with many more robots it hardly counts."""
MIN_COVARIATE_ROBOTS = 6
"""Robots beyond one a cohort, below which no slope is told from chance: values are not adjusted."""
_COHORTS = 2


class Effect(Struct, frozen=True):
    """Canary minus control, on the scale that robots are compared on."""

    difference: float
    control: float
    variance: float
    freedom: float
    weight: float
    """How much is known of it, were all robots alike: the inverse of what the variance grows by."""


def effect(canary: Spread, control: Spread, prior_variance: float) -> Effect | None:
    """The cohorts of one stratum compared; None where one of them has no robot."""
    if not canary.robots or not control.robots:
        return None
    adjusted = _adjusted(canary, control)
    freedom = max(canary.robots + control.robots - _COHORTS - bool(adjusted.slope), 0)
    pooled = PRIOR_ROBOTS * prior_variance + adjusted.residual_squares
    return Effect(
        difference=adjusted.difference,
        control=control.x / control.robots,
        variance=pooled / (PRIOR_ROBOTS + freedom) * adjusted.inflation,
        freedom=PRIOR_ROBOTS + freedom,
        weight=1 / adjusted.inflation,
    )


def own_effect(canary: Spread, prior_variance: float) -> Effect | None:
    """Robots compared with themselves before; None where one of them has no past."""
    robots = canary.robots
    if not robots or canary.paired < robots:
        return None
    difference = (canary.x - canary.b) / robots
    squares = canary.xx - 2 * canary.xb + canary.bb - robots * difference**2
    pooled = PRIOR_ROBOTS * prior_variance + max(squares, 0.0)
    freedom = PRIOR_ROBOTS + robots - 1
    return Effect(difference, canary.b / robots, pooled / freedom / robots, freedom, robots)


def combined(effects: Sequence[Effect]) -> Effect:
    """One effect over strata, each weighted by what it knows: their mix does not matter."""
    whole = sum(each.weight for each in effects)
    shares = [each.weight / whole for each in effects]
    parts = [share**2 * each.variance for share, each in zip(shares, effects, strict=True)]
    variance = sum(parts)
    spent = sum(part**2 / each.freedom for part, each in zip(parts, effects, strict=True))
    return Effect(
        difference=_weighted(shares, [each.difference for each in effects]),
        control=_weighted(shares, [each.control for each in effects]),
        variance=variance,
        freedom=variance**2 / spent if spent > 0 else min(each.freedom for each in effects),
        weight=whole,
    )


def chance_above(seen: Effect, margin: float) -> float:
    """How likely such a difference or a larger one is, were the true one ``margin``."""
    beyond = seen.difference - margin
    if seen.variance <= 0:
        return 0.0 if beyond > 0 else 1.0
    return student_tail(beyond / math.sqrt(seen.variance), seen.freedom)


def student_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's distribution, within a few percent (Wallace, Ann. Math. Stat. 1959)."""
    if t <= 0:
        return 1.0 if t < 0 else 0.5
    z = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return 0.5 * math.erfc(z / math.sqrt(2))


class _Adjusted(Struct, frozen=True):
    difference: float
    residual_squares: float
    inflation: float
    slope: float = 0.0


def _adjusted(canary: Spread, control: Spread) -> _Adjusted:
    """The difference once what robots differed by before is taken out, as far as it explains them.

    A robot that said nothing before counts as an average one (its deviation is zero).
    """
    difference = canary.x / canary.robots - control.x / control.robots
    inflation = 1 / canary.robots + 1 / control.robots
    squares = max(_within_x(canary) + _within_x(control), 0.0)
    raw = _Adjusted(difference, squares, inflation)
    paired = canary.paired + control.paired
    if canary.robots + control.robots - _COHORTS < MIN_COVARIATE_ROBOTS or not paired:
        return raw
    centre = (canary.b + control.b) / paired
    sides = [_deviations(cohort, centre) for cohort in (canary, control)]
    deviations = sum(side.squares for side in sides)
    if deviations <= 0:
        return raw
    products = sum(side.products for side in sides)
    slope = min(max(products / deviations, 0.0), 1.0)
    apart = sides[0].mean - sides[1].mean
    return _Adjusted(
        difference=difference - slope * apart,
        residual_squares=max(squares - 2 * slope * products + slope**2 * deviations, 0.0),
        inflation=inflation + apart**2 / deviations,
        slope=slope,
    )


class _Deviations(Struct, frozen=True):
    mean: float
    squares: float
    products: float


def _deviations(cohort: Spread, centre: float) -> _Deviations:
    """Of one cohort's robots before, from ``centre``: their mean, squares, products with x."""
    total = cohort.b - cohort.paired * centre
    squares = cohort.bb - 2 * centre * cohort.b + cohort.paired * centre**2
    products = cohort.xb - centre * cohort.x_paired
    return _Deviations(
        mean=total / cohort.robots,
        squares=max(squares - total**2 / cohort.robots, 0.0),
        products=products - cohort.x * total / cohort.robots,
    )


def _within_x(cohort: Spread) -> float:
    return cohort.xx - cohort.x**2 / cohort.robots


def _weighted(shares: Sequence[float], values: Sequence[float]) -> float:
    return sum(share * value for share, value in zip(shares, values, strict=True))
