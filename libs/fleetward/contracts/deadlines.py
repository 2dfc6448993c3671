"""When what a rollout waits for ends: read by who decides, and by who tells people. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import compress, repeat
from operator import attrgetter, is_

from msgspec import UNSET

from fleetward.contracts.ids import RobotId
from fleetward.contracts.policies import settled_hold_s
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout

_PHASE = attrgetter("phase")


def in_phase(rollout: Rollout, phase: RobotPhase) -> list[RobotId]:
    """The robots that stand there."""
    phases = map(_PHASE, rollout.robots.values())
    return list(compress(rollout.robots, map(is_, phases, repeat(phase))))


def is_held_back(progress: RobotProgress) -> bool:
    """Whether the robot is on its way, and says itself why it does not swap yet."""
    return progress.phase is RobotPhase.TARGETED and progress.held_at is not UNSET


def held_back(rollout: Rollout) -> list[RobotId]:
    """Robots that say why they do not swap yet: an interlock does not hold, for one."""
    on_their_way = in_phase(rollout, RobotPhase.TARGETED)
    return [robot for robot in on_their_way if is_held_back(rollout.robots[robot])]


def expected(rollout: Rollout) -> list[RobotId]:
    """Robots that are on their way and must be heard before their deadline."""
    on_their_way = in_phase(rollout, RobotPhase.TARGETED)
    return [robot for robot in on_their_way if not is_held_back(rollout.robots[robot])]


def expected_since(rollout: Rollout, progress: RobotProgress) -> datetime:
    """From when a robot on its way could have done what it was asked.

    Nobody is late who waits for the agreed instant of a switch.
    """
    since = progress.silent_at or progress.targeted_at or rollout.wave_started_at
    return max(since, rollout.switch_at or since)


def unknown_at(rollout: Rollout, progress: RobotProgress) -> datetime:
    """When a robot on its way counts as unknown, unless it is heard, or says that it is held back."""
    return expected_since(rollout, progress) + timedelta(seconds=rollout.policy.silent_after_s)


def given_up_at(rollout: Rollout) -> datetime | None:
    """When robots that are held back are waited for no longer; None: nobody is held back."""
    held = [rollout.robots[robot].held_at for robot in held_back(rollout)]
    newest = max((moment for moment in held if moment is not UNSET), default=None)
    return newest + timedelta(seconds=rollout.policy.stalled_after_s) if newest else None


def asks_at(rollout: Rollout) -> datetime | None:
    """When a rollout that may not go on pauses and asks; None while no clock runs."""
    since = rollout.withheld_since
    return since + timedelta(seconds=rollout.policy.stalled_after_s) if since else None


def baked_at(rollout: Rollout) -> datetime | None:
    """When a settled wave has done well for long enough; None before it has settled."""
    since = rollout.baking_since
    return since + timedelta(seconds=settled_hold_s(rollout)) if since else None


def evidence_by(rollout: Rollout) -> datetime | None:
    """When a settled wave without enough evidence pauses and asks; None before it has settled."""
    baked = baked_at(rollout)
    return baked + timedelta(seconds=rollout.policy.silent_after_s) if baked else None
