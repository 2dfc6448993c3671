"""What an order becomes on top of what its robot was given last, or who was faster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

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
    """The target that ``order`` becomes: what others were given there stands beside it.

    A robot that named no pipelines is told of this alone: its bridge may not know of anything beside.
    """
    pipelines = rollout.robots[order.robot_id].pipelines
    if pipelines is UNSET:
        return target_of(rollout, order, now)
    entries = [target_of(rollout, each, now) for each in order.every]
    if len(entries) > 1:
        names = tuple(each.model.name for each in entries)
        entries = [replace(each, together=names) for each in entries]
    return carrying(entries, last, pipelines)


def follows(rollout: Rollout, order: TargetOrder, last: RobotTarget | None) -> bool:
    """Whether the order is for the generation after the one that is known, at each of its places."""
    return overtaken_by(rollout, order, last) is None


def overtaken_by(
    rollout: Rollout, order: TargetOrder, last: RobotTarget | None
) -> RolloutId | None:
    """Who gave the robot a generation that ``order`` would write, if anybody did."""
    pipelines = rollout.robots[order.robot_id].pipelines
    if pipelines is UNSET:
        is_newer = last is not None and last.generation != order.generation - 1
        return last.rollout_id if last is not None and is_newer else None
    for each in order.every:
        held = entry_at(last, place_of(each.model.name, pipelines), pipelines)
        if held is not None and held.generation != each.generation - 1:
            return held.rollout_id
    return None
