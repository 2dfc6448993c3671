"""Is the new model worse than the one it replaces? Looked at for ever, wrong at most alpha.

An anytime-valid sequential test: looks are rationed and each spends its share of alpha
(``rollout_coordinator.looks``); at a look, robots are compared with robots of the same site and
hardware, and with themselves before (``rollout_coordinator.comparison``). Why not by inferences:
docs/adr/0008-a-robot-is-one-voice.md.

Alpha is divided among waves, metrics and looks; half of what is left is for the effect over all
strata, half for the strata one by one, so that a model that is bad on one hardware is found too.
Errors are condemned with two keys: robots differ by more than chance, and so do the plain counts
by a bound that is exact for few (``rollout_coordinator.rates``); either may be wrong, not both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from fleetward.contracts.compared import CONFIDENCE, ERRORS, LATENCY, RARE, Metric, compared
from fleetward.contracts.evidence import Evidence, Moments, Per, Spread, Stratum, Worse
from fleetward.contracts.rollouts import RolloutPolicy
from rollout_coordinator.comparison import Effect, chance_above, combined, effect, own_effect
from rollout_coordinator.looks import share
from rollout_coordinator.rates import at_least, at_most

ERROR_RATES_SPREAD = 0.5
"""How much robots' error rates are taken to differ by themselves, relatively."""
DEVIATIONS_BETWEEN_ROBOTS = 0.5
"""Where a relative spread means nothing, robots are taken to differ by half of what samples do."""


class _Compared(Struct, frozen=True):
    """One metric in some strata: what is seen, and what is allowed for."""

    metric: Metric
    seen: Effect
    margin: float
    """How much worse the canary may be, on the scale of ``seen``."""
    strata: tuple[Stratum, ...]
    index: int


def condemnation(evidence: Evidence, policy: RolloutPolicy, waves: int) -> str:
    """Why the new model is worse than the control cohort's, or an empty string.

    ``waves`` is how many waves may each ask this; alpha is divided among them too.
    """
    if not evidence.is_look:
        return ""
    metrics = compared(policy)
    alpha = policy.alpha / (waves * len(metrics)) * share(evidence.looks)
    for index in range(len(metrics)):
        for case, level in _cases(evidence, policy, index, alpha):
            direction = _worse(case, policy, level)
            if direction:
                return _reason(case, policy, direction)
    return ""


def _cases(
    evidence: Evidence, policy: RolloutPolicy, index: int, alpha: float
) -> Iterator[tuple[_Compared, float]]:
    """All strata together, then one by one, each with what it may spend."""
    metric = compared(policy)[index]
    each: list[_Compared] = []
    for stratum in evidence.strata.values():
        if not stratum.canary or not stratum.control:
            continue
        canary, control = stratum.canary[index], stratum.control[index]
        prior_variance = _prior_variance(metric, policy, control, evidence)
        own = own_effect(canary, prior_variance) if evidence.is_own_control else None
        seen = own or effect(canary, control, prior_variance)
        if seen is not None:
            margin = _margin(metric, policy, seen, evidence)
            each.append(_Compared(metric, seen, margin, (stratum,), index))
    if len(each) > 1:
        yield _over_all(each), alpha / 2
        alpha /= 2 * len(each)
    yield from ((case, alpha) for case in each)


def _over_all(each: Sequence[_Compared]) -> _Compared:
    whole = sum(case.seen.weight for case in each)
    return _Compared(
        metric=each[0].metric,
        seen=combined([case.seen for case in each]),
        margin=sum(case.seen.weight / whole * case.margin for case in each),
        strata=tuple(stratum for case in each for stratum in case.strata),
        index=each[0].index,
    )


def _worse(case: _Compared, policy: RolloutPolicy, alpha: float) -> Worse | None:
    """Which way it is worse, as far as that is sure."""
    allowed = _worse_ways(case.metric)
    for way in allowed:
        seen = case.seen if way is Worse.HIGHER else _mirrored(case.seen)
        if chance_above(seen, case.margin) > alpha / len(allowed):
            continue
        if case.metric.name != ERRORS or _counts_differ(case, policy, alpha):
            return way
    return None


def _worse_ways(metric: Metric) -> tuple[Worse, ...]:
    if metric.guard is None:
        return (Worse.LOWER,) if metric.name == CONFIDENCE else (Worse.HIGHER,)
    if metric.guard.worse is Worse.EITHER:
        return (Worse.HIGHER, Worse.LOWER)
    return (metric.guard.worse,)


def _mirrored(seen: Effect) -> Effect:
    return Effect(-seen.difference, -seen.control, seen.variance, seen.freedom, seen.weight)


def _counts_differ(case: _Compared, policy: RolloutPolicy, alpha: float) -> bool:
    """The second key: plain counts, the control's rates weighted as the canary's strata are."""
    spreads = [(each.canary[case.index], each.control[case.index]) for each in case.strata]
    trials = sum(canary.count for canary, _ in spreads)
    failures = sum(canary.total for canary, _ in spreads)
    expected = sum(canary.count * control.total / control.count for canary, control in spreads)
    control_trials = sum(control.count for _, control in spreads)
    usual = at_most(expected / trials * control_trials, control_trials, alpha / 2)
    return at_least(failures, trials, alpha / 2) > usual + policy.max_added_error_rate


def _margin(metric: Metric, policy: RolloutPolicy, seen: Effect, evidence: Evidence) -> float:
    if metric.name == LATENCY:
        return math.log1p(policy.latency_tolerance)
    if metric.name == ERRORS:
        return math.log1p(policy.max_added_error_rate / math.exp(seen.control))
    if metric.guard is None:
        kept = 1 - policy.confidence_tolerance
        return -math.log(kept) if kept > 0 else math.inf
    match metric.guard.per:
        case Per.UNIT:
            return metric.guard.tolerance
        case Per.SHARE:
            return metric.guard.tolerance * abs(seen.control)
        case Per.DEVIATION:
            return metric.guard.tolerance * _deviation(evidence, metric)


def _prior_variance(
    metric: Metric, policy: RolloutPolicy, control: Spread, evidence: Evidence
) -> float:
    """How robots differ by themselves, before any was seen: as the policy says, or as chance has it."""
    if metric.name == ERRORS:
        return _error_variance(control, policy.max_added_error_rate)
    if metric.guard is None:
        return policy.robot_spread**2
    if metric.guard.per is Per.SHARE and control.robots:
        return (policy.robot_spread * control.x / control.robots) ** 2
    return (DEVIATIONS_BETWEEN_ROBOTS * _deviation(evidence, metric)) ** 2


def _error_variance(control: Spread, allowed: float) -> float:
    """Of a robot's logarithm: what chance makes of its inferences, and how rates differ by usage."""
    if not control.robots:
        return 0.0
    rate = min((control.total + 1) / (control.count + 2) + allowed, 1.0)
    by_chance = rate * (1 - rate) * control.robots / control.count
    return (by_chance + (ERROR_RATES_SPREAD * rate) ** 2) / (rate + RARE) ** 2


def _deviation(evidence: Evidence, metric: Metric) -> float:
    """The standard deviation of the control robots' samples."""
    samples = evidence.control.signals.get(metric.name, Moments())
    if not samples.count:
        return 0.0
    average = samples.total / samples.count
    return math.sqrt(max(samples.total_of_squares / samples.count - average**2, 0.0))


def _reason(case: _Compared, policy: RolloutPolicy, way: Worse) -> str:
    control = case.metric.spoken(case.seen.control)
    canary = case.metric.spoken(case.seen.control + case.seen.difference)
    robots = [
        sum(side[case.index].robots for side in sides)
        for sides in ([one.canary for one in case.strata], [one.control for one in case.strata])
    ]
    counted = f"({robots[0]} canary and {robots[1]} control robots)"
    against = f"the control robots{_where(case.strata)}"
    match case.metric.name:
        case _ if case.metric.guard is not None:
            return (
                f"{case.metric.name} is {canary:.4g} on the new model against {control:.4g} on "
                f"{against}, {way.value} than it may be {counted}"
            )
        case name if name == LATENCY:
            return (
                f"inference takes {canary:.1f} ms on the new model against {control:.1f} ms on "
                f"{against}, more than {policy.latency_tolerance:.0%} slower {counted}"
            )
        case name if name == ERRORS:
            return (
                f"{canary:.1%} of inferences fail on the new model against "
                f"{control:.1%} on {against} {counted}"
            )
        case _:
            return (
                f"mean confidence is {canary:.3f} on the new model against {control:.3f} on "
                f"{against}, more than {policy.confidence_tolerance:.0%} lower {counted}"
            )


def _where(strata: Sequence[Stratum]) -> str:
    """The stratum, when it is one that has a name."""
    if len(strata) != 1:
        return ", site by site" if len(strata) > 1 else ""
    (one,) = strata
    site = f" of {one.site}" if one.site else ""
    return f"{site} on {one.hardware}" if one.hardware else site
