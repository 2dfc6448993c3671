"""Adds a robot's window of inferences to its cohort, once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.compared import Metric, compared
from fleetward.contracts.evidence import CohortEvidence, Evidence, Moments, Observed
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, Strategy
from fleetward.contracts.telemetry import InferenceSummarized
from fleetward.contracts.variants import wanted
from rollout_coordinator.looks import is_due
from rollout_coordinator.observation import Side, moved, observed, restarted, said
from rollout_coordinator.written_down import WriteDown, in_a_copy

_CANARY_PHASES = frozenset({RobotPhase.TARGETED, RobotPhase.PROVED})
_STAGING_PHASES = frozenset({RobotPhase.WAITING, RobotPhase.TARGETED, RobotPhase.STAGED})
_UNSEEN = Observed()


def with_summary(
    rollout: Rollout,
    summary: InferenceSummarized,
    stored_at: datetime,
    write_down: WriteDown = in_a_copy,
) -> Evidence:
    """The evidence with this window counted, or the same object when it does not count.

    Canary: robots of this rollout while they serve what it gave them. Control, at the same time:
    robots of this rollout still waiting, on whatever they served before. What either served before
    the first canary robot had the new model, or before its own swap, is what it is compared with.
    Where a rollout leaves no control (``is_own_control``), robots are compared with themselves alone.

    Whether a window belongs to this wave is told by ``stored_at``, when the server stored it: the
    robot's own clock, which dates the window, may be days off. It only orders a robot's windows.
    """
    progress = rollout.robots.get(summary.robot_id)
    side = _side(rollout, progress, summary) if progress is not None else None
    if progress is None or side is None:
        return rollout.evidence
    until = _counted_until(rollout, summary.robot_id, side)
    if until is not None and summary.started_at <= until:
        return rollout.evidence
    if stored_at < rollout.wave_started_at or not _is_finite(summary):
        return rollout.evidence
    return _counted(rollout, progress, summary, side, write_down)


def next_wave(rollout: Rollout) -> Evidence:
    """Evidence starts over; copies stay known, and so does what robots were like before."""
    evidence = rollout.evidence
    fresh = Evidence(
        counted_until=evidence.counted_until,
        observed={robot: restarted(seen) for robot, seen in evidence.observed.items()},
    )
    if not is_own_control(rollout):
        return fresh
    return replace(
        fresh,
        control=evidence.control,
        control_windows=evidence.control_windows,
        strata={key: replace(of, canary=()) for key, of in evidence.strata.items()},
        is_own_control=True,
    )


def is_own_control(rollout: Rollout) -> bool:
    """Whether robots are their own control: after a switch nobody else is left, in shadow nobody needed."""
    return rollout.strategy in (Strategy.BLUE_GREEN, Strategy.SHADOW)


def _counted_until(rollout: Rollout, robot: RobotId, side: Side) -> datetime | None:
    """In shadow a robot serves two models in the same second, so each has an order of its own."""
    if side is Side.BEFORE and is_own_control(rollout):
        return rollout.evidence.observed.get(robot, _UNSEEN).before_until
    return rollout.evidence.counted_until.get(robot)


def _side(rollout: Rollout, progress: RobotProgress, summary: InferenceSummarized) -> Side | None:
    if rollout.model.name == BRIDGE_MODEL:
        return _side_of_bridge(rollout, progress)
    if progress.phase in _CANARY_PHASES and summary.digest == wanted(rollout, progress).digest:
        return Side.CANARY
    return _side_before(rollout, progress) if summary.digest == progress.previous_digest else None


def _side_of_bridge(rollout: Rollout, progress: RobotProgress) -> Side | None:
    """A bridge infers nothing itself: how it does is told by whatever its robot serves, since its proof."""
    is_new = progress.phase is RobotPhase.PROVED
    return Side.CANARY if is_new else _side_before(rollout, progress)


def _side_before(rollout: Rollout, progress: RobotProgress) -> Side | None:
    """What a robot has to be compared with that serves as it did before."""
    if is_own_control(rollout):
        return Side.BEFORE if progress.phase in _own_control_phases(rollout) else None
    if progress.phase is RobotPhase.TARGETED:
        return Side.BEFORE
    if progress.phase is RobotPhase.WAITING:
        return Side.CONTROL if rollout.evidence.windows else Side.BEFORE
    return None


def _own_control_phases(rollout: Rollout) -> frozenset[RobotPhase]:
    """Who stages serves the model before still; who shadows serves it beside the new one."""
    is_shadow = rollout.strategy is Strategy.SHADOW
    return _CANARY_PHASES | {RobotPhase.WAITING} if is_shadow else _STAGING_PHASES


def _counted(
    rollout: Rollout,
    progress: RobotProgress,
    summary: InferenceSummarized,
    side: Side,
    write_down: WriteDown,
) -> Evidence:
    evidence, robot = rollout.evidence, summary.robot_id
    metrics = compared(rollout.policy)
    was = evidence.observed.get(robot, _UNSEEN)
    if was.is_canary and side is Side.CONTROL:
        return evidence
    now = observed(was, side, said(summary, metrics))
    own = is_own_control(rollout)
    if own and side is Side.BEFORE:
        now, until = replace(now, before_until=summary.started_at), evidence.counted_until
    else:
        until = write_down(evidence.counted_until, {robot: summary.started_at})
    counted = replace(
        evidence,
        counted_until=until,
        observed=write_down(evidence.observed, {robot: now}),
        is_look=False,
        is_own_control=own,
    )
    if side is Side.BEFORE and not own:
        return counted
    counted = replace(counted, strata=moved(counted, progress, was, now, metrics))
    return _looked_at(rollout, _added(counted, side, summary, metrics))


def _added(
    evidence: Evidence, side: Side, summary: InferenceSummarized, metrics: Sequence[Metric]
) -> Evidence:
    if side is not Side.CANARY:
        control = _more(evidence.control, summary, metrics)
        return replace(evidence, control=control, control_windows=evidence.control_windows + 1)
    canary = _more(evidence.canary, summary, metrics)
    return replace(evidence, canary=canary, windows=evidence.windows + 1)


def _looked_at(rollout: Rollout, evidence: Evidence) -> Evidence:
    reached = sum(len(wave) for wave in rollout.waves[: rollout.wave + 1])
    waiting = len(rollout.robots) - reached
    if rollout.strategy is Strategy.ROLLING:  # few at a time: their windows are not waited for
        reached = waiting = 1
    if not is_due(evidence, reached, waiting, rollout.policy.min_inferences):
        return evidence
    return replace(
        evidence, looks=evidence.looks + 1, looked_at_windows=evidence.windows, is_look=True
    )


def _is_finite(summary: InferenceSummarized) -> bool:
    """One window with a NaN would make every later comparison a NaN."""
    signals = summary.signals.values()
    return all(
        math.isfinite(value)
        for value in (
            summary.latency_ms_sum,
            summary.latency_ms_sum_of_squares,
            summary.confidence_sum,
            summary.confidence_sum_of_squares,
            *(moments.total for moments in signals),
            *(moments.total_of_squares for moments in signals),
        )
    )


def _more(
    cohort: CohortEvidence, summary: InferenceSummarized, metrics: Sequence[Metric]
) -> CohortEvidence:
    named = {metric.name for metric in metrics if metric.guard is not None}
    heard = {name: more for name, more in summary.signals.items() if name in named}
    return CohortEvidence(
        inferences=cohort.inferences + summary.inferences,
        errors=cohort.errors + summary.errors,
        latency_ms=_sum(
            cohort.latency_ms,
            summary.inferences - summary.errors,
            summary.latency_ms_sum,
            summary.latency_ms_sum_of_squares,
        ),
        confidence=_sum(
            cohort.confidence,
            summary.confidence_count,
            summary.confidence_sum,
            summary.confidence_sum_of_squares,
        ),
        signals={
            **cohort.signals,
            **{
                name: _sum(
                    cohort.signals.get(name, Moments()),
                    more.count,
                    more.total,
                    more.total_of_squares,
                )
                for name, more in heard.items()
            },
        },
    )


def _sum(moments: Moments, count: int, total: float, total_of_squares: float) -> Moments:
    return Moments(
        count=moments.count + count,
        total=moments.total + total,
        total_of_squares=moments.total_of_squares + total_of_squares,
    )
