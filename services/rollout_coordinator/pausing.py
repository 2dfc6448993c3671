"""Pausing: a rollout goes no further until somebody says so, and says why."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.rollout_events import RolloutPaused
from fleetward.contracts.rollouts import Rollout, RolloutState
from rollout_coordinator.step import Step


def paused(rollout: Rollout, reason: str, now: datetime) -> Step:
    """Evidence is still judged; a bake and a wait begin anew when the rollout is resumed."""
    held = replace(
        rollout,
        state=RolloutState.PAUSED,
        reason=reason,
        baking_since=None,
        withheld="",
        withheld_since=None,
    )
    announced = RolloutPaused(rollout_id=rollout.rollout_id, reason=reason, paused_at=now)
    return Step(rollout=held, events=(announced,))


def unless_stalled(rollout: Rollout, now: datetime) -> Step:
    """Who may not go on for long asks a person, and never waits in silence."""
    since, limit_s = rollout.withheld_since, rollout.policy.stalled_after_s
    if since is None or (now - since).total_seconds() < limit_s:
        return Step(rollout=rollout)
    return paused(rollout, f"inconclusive: for {limit_s:g} s {rollout.withheld}", now)
