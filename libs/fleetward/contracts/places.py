"""Where a model stands on a robot: in the pipeline that bears its name, or in the robot's own."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import UNSET, UnsetType

from fleetward.contracts.ids import ModelName, RobotId
from fleetward.contracts.model_sets import models
from fleetward.contracts.robots import PipelineStanding, RobotCheckedIn
from fleetward.contracts.rollouts import RobotProgress, Rollout

Place = ModelName | None
"""The name of a pipeline; None: the robot's own, which takes any model that has none of its own."""
OWN: tuple[Place, ...] = (None,)


def place_of(model: ModelName, pipelines: Collection[ModelName] | UnsetType) -> Place:
    """Where a model stands on a robot with these ``pipelines``."""
    return None if pipelines is UNSET or model not in pipelines else model


def places(rollout: Rollout, progress: RobotProgress) -> tuple[Place, ...]:
    """What the rollout changes on a robot of its own."""
    if progress.pipelines is UNSET:
        return OWN
    return tuple(place_of(name, progress.pipelines) for name in models(rollout))


def said_at(said: RobotCheckedIn, place: Place) -> RobotCheckedIn | PipelineStanding | None:
    """What a check-in says of a place; None: it has no such pipeline."""
    if place is None:
        return said
    return next((each for each in said.pipelines if each.name == place), None)


def spoken(robot: RobotId, place: Place) -> str:
    """The place, for people."""
    return robot if place is None else f"pipeline {place} of {robot}"


def held_by(
    rollout: Rollout, robot: RobotId, progress: RobotProgress
) -> Iterator[tuple[RobotId, Place]]:
    """Robot and place of everything that the rollout changes there."""
    for place in places(rollout, progress):
        yield robot, place
