"""Robots that say why they do not swap yet, as an interlock makes them: they are not silent. Pure.

Read aloud: nobody counts a robot as unknown that is heard and waits to swap. When nothing else is
waited for and it has waited for as long as a rollout may stand still, the rollout goes on without it
if the thresholds spare it, and else pauses and asks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.deadlines import expected, given_up_at, held_back
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import RobotPhase, Rollout
from fleetward.contracts.wording import how_many
from rollout_coordinator.halting import halt_reason
from rollout_coordinator.pausing import paused
from rollout_coordinator.phases import is_settled, standing
from rollout_coordinator.step import Step, with_robots


def unless_held_up(rollout: Rollout, now: datetime) -> Step:
    """A rollout that is not settled, once it has waited for long enough for robots held back.

    Nobody of a wave that began less long ago has been held back for long enough.
    """
    if now < rollout.wave_started_at + timedelta(seconds=rollout.policy.stalled_after_s):
        return Step(rollout=rollout)
    until = given_up_at(rollout)
    if until is None or now < until or expected(rollout):
        return Step(rollout=rollout)
    robots = held_back(rollout)
    without = _without(rollout, robots)
    stands = standing(without)
    if is_settled(without, stands) and not halt_reason(without, stands):
        return Step(rollout=without)
    first = rollout.robots[robots[0]].reason
    return paused(
        rollout,
        f"inconclusive: for {rollout.policy.stalled_after_s:g} s "
        f"{how_many(len(robots), 'robot')} did not swap, {robots[0]} first: {first}",
        now,
    )


def awaited_anew(rollout: Rollout, now: datetime) -> Rollout:
    """The rollout when it is resumed: whoever is held back is waited for from now."""
    again = {robot: replace(rollout.robots[robot], held_at=now) for robot in held_back(rollout)}
    return with_robots(rollout, again) if again else rollout


def _without(rollout: Rollout, robots: list[RobotId]) -> Rollout:
    held = ((robot, rollout.robots[robot]) for robot in robots)
    return with_robots(
        rollout,
        {
            robot: replace(progress, phase=RobotPhase.UNKNOWN, held_at=UNSET)
            for robot, progress in held
        },
    )
