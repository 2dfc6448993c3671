"""What an older rollout becomes when a newer one owns some of its robots. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import not_returning
from fleetward.contracts.rollout_events import RobotsSuperseded
from fleetward.contracts.rollouts import FINAL_STATES, RobotPhase, Rollout, RolloutState
from rollout_coordinator.revert import ended
from rollout_coordinator.step import RobotTaken, Step, Superseded, with_robots


def superseded(rollout: Rollout, fact: Superseded, now: datetime) -> Step:
    """It never touches them again; without any robot left it ends, or its watch does."""
    reason = f"superseded by {fact.by}"
    left = without(rollout, dict.fromkeys(fact.robots, reason))
    if left is rollout:
        return Step(rollout=rollout)
    announced = RobotsSuperseded(
        rollout_id=rollout.rollout_id, by=fact.by, robots=len(fact.robots), superseded_at=now
    )
    step = Step(rollout=left, events=(announced,))
    if any(held.phase is not RobotPhase.SUPERSEDED for held in left.robots.values()):
        return step
    if left.state in FINAL_STATES:
        return Step(rollout=replace(left, watched_until=None), events=(announced,))
    return step.then(ended(left, RolloutState.ABORTED, now, reason))


def without(rollout: Rollout, reasons: Mapping[RobotId, str]) -> Rollout:
    """The rollout without some robots, and why; the same object when it had none of them."""
    lost = {
        robot: replace(
            not_returning(rollout.robots[robot]),
            phase=RobotPhase.SUPERSEDED,
            silent_at=None,
            held_at=UNSET,
            reason=reason,
        )
        for robot, reason in reasons.items()
        if robot in rollout.robots and rollout.robots[robot].phase is not RobotPhase.SUPERSEDED
    }
    return with_robots(rollout, lost) if lost else rollout


def taken(rollout: Rollout, fact: RobotTaken) -> Rollout:
    """The robot is not ours any more. Judged with whatever comes next: several come together."""
    progress = rollout.robots.get(fact.robot_id)
    if progress is None or progress.phase in (RobotPhase.UNKNOWN, RobotPhase.SUPERSEDED):
        return rollout
    lost = replace(
        not_returning(progress),
        phase=RobotPhase.UNKNOWN,
        targeted_at=None,
        reason=f"{fact.by} gave it another target first",
    )
    return with_robots(rollout, {fact.robot_id: lost})
