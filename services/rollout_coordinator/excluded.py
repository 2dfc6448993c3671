"""Why robots of the fleet are not in a rollout that was planned. Pure."""

from __future__ import annotations

from datetime import datetime

from fleetward.contracts.ids import RobotId
from fleetward.contracts.registry import ModelRecord, Variant
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollouts import MAX_ROBOTS_PER_ROLLOUT, Rollout, RolloutRequested
from fleetward.contracts.selectors import parse_selector
from rollout_coordinator.choosing import choice_of, wanted_of
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.serving import served

MAX_EXCLUDED = MAX_ROBOTS_PER_ROLLOUT
"""Robots of a fleet whose exclusion is written down."""


def excluded(
    rollout: Rollout,
    request: RolloutRequested,
    record: ModelRecord | None,
    fleet: Fleet,
    now: datetime,
) -> dict[RobotId, str]:
    """A reason for each robot that was enrolled when ``rollout`` was planned and is not in it."""
    matches = parse_selector(request.selector)
    others = [robot for robot in fleet.robots if robot.robot_id not in rollout.robots]
    others = others[:MAX_EXCLUDED]
    choice = choice_of(wanted_of(request, record, fleet), others, fleet)
    return {
        robot.robot_id: choice.misfits.get(robot.robot_id)
        or _given_before(choice.of[robot.robot_id], robot.robot_id, fleet)
        if matches(fleet.facts(robot, now))
        else _not_selected(request.selector, robot)
        for robot in others
    }


def _not_selected(selector: str, robot: RobotEnrolled) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(robot.labels.items()))
    return f"the selector {selector!r} did not match it; its labels were {labels or 'none'}"


def _given_before(wanted: Variant, robot: RobotId, fleet: Fleet) -> str:
    target = fleet.given(robot, wanted.model.name)
    now = served(target)
    if target is None or now is None or now.digest != wanted.digest:
        return "the plan left it out"
    said = f"it was given these bytes already, as {now.model}"
    is_by_it = target.digest == now.digest
    return f"{said} by rollout {target.rollout_id}" if is_by_it else said
