"""What a target says of one place on a robot, and how it is written without losing the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from fleetward.contracts.ids import ModelName
from fleetward.contracts.places import Place, place_of
from fleetward.contracts.robots import RobotTarget

Pipelines = tuple[ModelName, ...] | UnsetType


def entry_at(target: RobotTarget | None, place: Place, pipelines: Pipelines) -> RobotTarget | None:
    """The entry at a place of a robot with these ``pipelines``: as the robot does, the first for it."""
    if target is None or (pipelines is UNSET and place is None):
        return target  # the only place there is, and the first entry is for it
    return next(
        (each for each in target.entries if place_of(each.model.name, pipelines) == place), None
    )


def carrying(
    given: Sequence[RobotTarget], newest: RobotTarget | None, pipelines: tuple[ModelName, ...]
) -> RobotTarget:
    """``given`` as one target, first things first, beside what ``newest`` says of other places."""
    first, *others = given
    taken = {place_of(each.model.name, pipelines) for each in given}
    for each in newest.entries if newest is not None else ():
        place = place_of(each.model.name, pipelines)
        if place not in taken:
            taken.add(place)
            others.append(each)
    return replace(first, beside=tuple(others))
