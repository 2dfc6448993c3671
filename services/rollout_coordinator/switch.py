"""Blue-green: who holds green warm switches together with the others, at one agreed instant."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from fleetward.contracts.rollout_events import SwitchOrdered
from fleetward.contracts.rollouts import RobotPhase, Rollout, Strategy
from rollout_coordinator.step import Step, count, in_wave

MAX_WARM_S = 3600.0
"""The longest that a robot is asked to keep two models in memory for a return."""


def warm_s(rollout: Rollout) -> float:
    """How long the model before stays warm on a robot after its swap.

    In a blue-green rollout through every switch and its bake, silent robots waited for, so that the
    whole fleet can switch back at once; a robot ends the window earlier by itself when it is given
    another model.
    """
    policy = rollout.policy
    if rollout.strategy is not Strategy.BLUE_GREEN:
        return policy.health_window_s
    switch_s = policy.switch_lead_s + policy.silent_after_s + policy.bake_s
    return max(policy.health_window_s, min(len(rollout.waves) * switch_s, MAX_WARM_S))


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
