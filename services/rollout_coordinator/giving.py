"""What an order becomes on top of what its robot was given last, or who was faster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.places import place_of
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.entries import carrying, entry_at
from rollout_coordinator.step import TargetOrder
from rollout_coordinator.target_of import target_of

Last = Mapping[RobotId, RobotTarget | None]
"""What robots were given last, by whomever."""


def given(
    rollout: Rollout, order: TargetOrder, last: RobotTarget | None, now: datetime
) -> RobotTarget:
    """The target that ``order`` becomes: what others were given there stands beside it."""
    pipelines = rollout.robots[order.robot_id].pipelines
    return carrying((target_of(rollout, order, now),), last, pipelines)


def follows(rollout: Rollout, order: TargetOrder, last: RobotTarget | None) -> bool:
    """Whether the order is for the generation after the one that is known at its place."""
    held = _at_place(rollout, order, last)
    return held is None or held.generation == order.generation - 1


def overtaken_by(
    rollout: Rollout, order: TargetOrder, last: RobotTarget | None
) -> RolloutId | None:
    """Who gave the robot the generation that ``order`` would write, if anybody did."""
    held = _at_place(rollout, order, last)
    return None if held is None or follows(rollout, order, last) else held.rollout_id


def _at_place(rollout: Rollout, order: TargetOrder, last: RobotTarget | None) -> RobotTarget | None:
    pipelines = rollout.robots[order.robot_id].pipelines
    return entry_at(last, place_of(rollout.model.name, pipelines), pipelines)
