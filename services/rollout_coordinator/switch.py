"""Blue-green: who holds green warm switches together with the others, at one agreed instant."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from fleetward.contracts.rollout_events import SwitchOrdered
from fleetward.contracts.rollouts import RobotPhase, Rollout, Strategy
from rollout_coordinator.step import Step, count, in_wave


def switches(rollout: Rollout) -> bool:
    """Whether its next targets are orders to switch."""
    return rollout.strategy is Strategy.BLUE_GREEN and not rollout.staging


def agreed(rollout: Rollout, now: datetime) -> Step:
    """The instant at which the wave switches: agreed once, so that those ordered later join in."""
    if not switches(rollout) or rollout.switch_at is not None:
        return Step(rollout=rollout)
    switch_at = now + timedelta(seconds=rollout.policy.switch_lead_s)
    ordered = SwitchOrdered(
        rollout_id=rollout.rollout_id,
        robots=count(rollout, in_wave(rollout), RobotPhase.STAGED),
        switch_at=switch_at,
        ordered_at=now,
    )
    return Step(rollout=replace(rollout, switch_at=switch_at), events=(ordered,))
