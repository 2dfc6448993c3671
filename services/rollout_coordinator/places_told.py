"""Which of a robot's models a rollout changes, and whose the others are, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import alone
from fleetward.contracts.ownership import owners
from fleetward.contracts.places import Place, place_of
from fleetward.contracts.rollouts import RobotProgress, Rollout


def where_given(rollout: Rollout, progress: RobotProgress) -> str:
    """What goes to which pipeline, as the rest of a sentence; empty where the robot has one alone."""
    if progress.pipelines is UNSET:
        return ""
    given = [
        f"{each.model} to the robot's {_spoken(place_of(each.model.name, progress.pipelines))}"
        for each in alone(rollout)
    ]
    return f" and gives {' and '.join(given)}"


def also_of(robot: RobotId, rollout: Rollout, opened: Iterable[Rollout]) -> str:
    """Which other rollouts the robot, or a pipeline of it, belongs to: a sentence for each."""
    held = {place: of for (each, place), of in owners(opened).items() if each == robot}
    return "".join(
        f" {'It' if place is None else f'Its pipeline {place}'} belongs to rollout {of.rollout_id}."
        for place, of in held.items()
        if of.rollout_id != rollout.rollout_id
    )


def _spoken(place: Place) -> str:
    return f"pipeline {place}" if place is not None else "own pipeline"
