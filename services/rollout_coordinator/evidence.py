"""Adds a robot's window of inferences to its cohort, once."""

from __future__ import annotations

import math
from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.rollouts import (
    CohortEvidence,
    Evidence,
    Moments,
    RobotPhase,
    Rollout,
    Strategy,
)
from fleetward.contracts.telemetry import InferenceSummarized

_CANARY_PHASES = frozenset({RobotPhase.TARGETED, RobotPhase.PROVED})
_STAGING_PHASES = frozenset({RobotPhase.WAITING, RobotPhase.TARGETED, RobotPhase.STAGED})


def with_summary(rollout: Rollout, summary: InferenceSummarized, stored_at: datetime) -> Evidence:
    """The evidence with this window counted, or the same object when it does not count.

    Canary: robots of this rollout while they serve the new digest. Control, at the same time:
    robots of this rollout still waiting, on whatever they served before.

    Whether a window belongs to this wave is told by ``stored_at``, when the server stored it: the
    robot's own clock, which dates the window, may be days off. It only orders a robot's windows.
    """
    evidence = rollout.evidence
    progress = rollout.robots.get(summary.robot_id)
    until = evidence.counted_until.get(summary.robot_id)
    if progress is None or (until is not None and summary.started_at <= until):
        return evidence
    if stored_at < rollout.wave_started_at or not _is_finite(summary):
        return evidence
    counted = {**evidence.counted_until, summary.robot_id: summary.started_at}
    if progress.phase in _CANARY_PHASES and summary.digest == rollout.digest:
        canary = _added(evidence.canary, summary)
        return replace(evidence, canary=canary, counted_until=counted)
    if _is_control(rollout, progress.phase) and summary.digest == progress.previous_digest:
        control = _added(evidence.control, summary)
        return replace(evidence, control=control, counted_until=counted)
    return evidence


def _is_control(rollout: Rollout, phase: RobotPhase) -> bool:
    """Whether a robot shows in this phase how the model before does.

    Who stages serves it still; who shadows serves it beside the new one.
    """
    if rollout.strategy is Strategy.SHADOW:
        return phase is RobotPhase.WAITING or phase in _CANARY_PHASES
    return phase in _STAGING_PHASES if rollout.staging else phase is RobotPhase.WAITING


def _is_finite(summary: InferenceSummarized) -> bool:
    """One window with a NaN would make every later comparison a NaN."""
    return all(
        math.isfinite(value)
        for value in (
            summary.latency_ms_sum,
            summary.latency_ms_sum_of_squares,
            summary.confidence_sum,
            summary.confidence_sum_of_squares,
        )
    )


def _added(cohort: CohortEvidence, summary: InferenceSummarized) -> CohortEvidence:
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
    )


def _sum(moments: Moments, count: int, total: float, total_of_squares: float) -> Moments:
    return Moments(
        count=moments.count + count,
        total=moments.total + total,
        total_of_squares=moments.total_of_squares + total_of_squares,
    )
