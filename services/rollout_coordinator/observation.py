"""Adds one robot's window to what is known of the robot, and moves its stratum along. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.compared import CONFIDENCE, ERRORS, LATENCY, Metric, lone
from fleetward.contracts.evidence import (
    MAX_STRATA,
    OTHER,
    Evidence,
    Observed,
    Spread,
    Stratum,
    Sums,
)
from fleetward.contracts.rollouts import RobotProgress
from fleetward.contracts.telemetry import InferenceSummarized, SignalMoments

_NOTHING = Sums()
_NOBODY = Spread()
_SILENCE = SignalMoments()


class Side(enum.Enum):
    """What a window speaks for."""

    BEFORE = enum.auto()
    CONTROL = enum.auto()
    CANARY = enum.auto()


def said(summary: InferenceSummarized, metrics: Sequence[Metric]) -> tuple[Sums, ...]:
    """What one window says of each metric."""
    known = {
        LATENCY: Sums(summary.inferences - summary.errors, summary.latency_ms_sum),
        ERRORS: Sums(summary.inferences, float(summary.errors)),
        CONFIDENCE: Sums(summary.confidence_count, summary.confidence_sum),
    }
    return tuple(
        known[metric.name] if metric.guard is None else _signal(summary, metric.name)
        for metric in metrics
    )


def observed(before: Observed, side: Side, window: tuple[Sums, ...]) -> Observed:
    """The robot with the window added; who swaps takes what it said so far along as its past."""
    if side is Side.BEFORE:
        return replace(before, before=_added(before.before, window))
    is_canary = side is Side.CANARY
    if before.is_canary == is_canary:
        return replace(before, after=_added(before.after, window))
    past = before.before if before.is_canary else _added(before.before, before.after)
    return replace(before, is_canary=is_canary, before=past, after=window)


def restarted(before: Observed) -> Observed:
    """The robot at the start of a further wave: what it said on the old model is its past."""
    past = before.before if before.is_canary else _added(before.before, before.after)
    return replace(before, before=past, after=())


def stratum_key(evidence: Evidence, progress: RobotProgress) -> str:
    """Where a robot is counted: with its site and hardware while there is room to tell them apart.

    Robots of one site and hardware that are given different variants are not alike either.
    """
    key = f"{progress.site}/{progress.hardware}"
    key = key if progress.variant is UNSET else f"{key}/{progress.variant}"
    told_apart = len(evidence.strata) - (OTHER in evidence.strata)
    return key if key in evidence.strata or told_apart < MAX_STRATA else OTHER


def moved(
    evidence: Evidence,
    progress: RobotProgress,
    was: Observed,
    now: Observed,
    metrics: Sequence[Metric],
) -> dict[str, Stratum]:
    """The strata once one robot's means are replaced by newer ones; ``evidence`` holds the old ones."""
    key = stratum_key(evidence, progress)
    empty = Stratum(*(("", "") if key == OTHER else (progress.site, progress.hardware)))
    stratum = evidence.strata.get(key, empty)
    for robot, sign in ((was, -1), (now, 1)):
        nothing = (_NOTHING,) * len(metrics)
        if robot.after:
            alone = _lone(metrics, robot.before or nothing, robot.after)
            stratum = _shifted(stratum, robot.is_canary, alone, sign)
        if evidence.is_own_control and robot.before:
            alone = _lone(metrics, nothing, robot.before)
            stratum = _shifted(stratum, False, alone, sign)
    return {**evidence.strata, key: stratum}


def _lone(
    metrics: Sequence[Metric], before: Sequence[Sums], after: Sequence[Sums]
) -> tuple[Spread, ...]:
    return tuple(
        lone(metric, past, now) for metric, past, now in zip(metrics, before, after, strict=True)
    )


def _shifted(stratum: Stratum, is_canary: bool, one: tuple[Spread, ...], sign: int) -> Stratum:
    """One robot added to its cohort, or taken out."""
    cohort = (stratum.canary if is_canary else stratum.control) or (_NOBODY,) * len(one)
    shifted = tuple(_sum(spread, each, sign) for spread, each in zip(cohort, one, strict=True))
    return replace(stratum, canary=shifted) if is_canary else replace(stratum, control=shifted)


def _sum(spread: Spread, one: Spread, sign: int) -> Spread:
    return Spread(
        spread.robots + sign * one.robots,
        spread.x + sign * one.x,
        spread.xx + sign * one.xx,
        spread.paired + sign * one.paired,
        spread.x_paired + sign * one.x_paired,
        spread.b + sign * one.b,
        spread.bb + sign * one.bb,
        spread.xb + sign * one.xb,
        spread.count + sign * one.count,
        spread.total + sign * one.total,
    )


def _added(sums: tuple[Sums, ...], window: tuple[Sums, ...]) -> tuple[Sums, ...]:
    if not sums or not window:
        return sums or window
    return tuple(
        Sums(one.count + more.count, one.total + more.total)
        for one, more in zip(sums, window, strict=True)
    )


def _signal(summary: InferenceSummarized, name: str) -> Sums:
    moments = summary.signals.get(name, _SILENCE)
    return Sums(moments.count, moments.total)
