"""Which of a robot's pipelines each model of its target belongs to. Pure."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from fleetward.contracts.ids import ModelName
from fleetward.contracts.robots import RobotTarget


class Routed(Struct, frozen=True, kw_only=True):
    """By pipeline, None: the robot's own, which takes any model that has none of its own.

    ``refused``: models without a place, and why.
    """

    targets: dict[ModelName | None, RobotTarget]
    refused: tuple[tuple[RobotTarget, str], ...] = ()


def routed(target: RobotTarget, pipelines: Collection[ModelName]) -> Routed:
    """Each model of ``target`` at its pipeline; the first of two at one place has it."""
    targets: dict[ModelName | None, RobotTarget] = {}
    refused: list[tuple[RobotTarget, str]] = []
    for each in target.entries:
        place = each.model.name if each.model.name in pipelines else None
        reason = _reason_against(each, place, targets.get(place))
        if reason:
            refused.append((each, reason))
        else:
            targets[place] = each
    alone = [place for place, each in targets.items() if not _is_whole(each, pipelines, targets)]
    refused += [(each, _alone(each)) for each in map(targets.pop, alone)]
    return Routed(targets=targets, refused=tuple(refused))


def _is_whole(
    target: RobotTarget,
    pipelines: Collection[ModelName],
    placed: Collection[ModelName | None],
) -> bool:
    """Whether every model that switches with it has a place, and a target: maybe a newer one by now."""
    places = {name if name in pipelines else None for name in target.together}
    return len(places) == len(target.together) and all(place in placed for place in places)


def _alone(target: RobotTarget) -> str:
    return (
        f"{target.model} switches together with {', '.join(target.together)}, and {target.robot_id} has "
        "no place for one of them. Name each in FLEETWARD_PIPELINES on the robot."
    )


def _reason_against(target: RobotTarget, place: ModelName | None, taken: RobotTarget | None) -> str:
    """Why it may not have this place; empty when it may."""
    if taken is not None:
        return (
            f"{target.model} and {taken.model} have no pipelines of their own on {target.robot_id}, and "
            f"it has one for either. Name {target.model.name} in FLEETWARD_PIPELINES on the robot, or "
            "roll one of the two out elsewhere."
            if place is None
            else f"{target.model} and {taken.model} are one model. Name one version of it."
        )
    if place is not None and target.fallback is not None and target.fallback.name != place:
        return (
            f"{target.model} has a pipeline of its own on {target.robot_id}, which cannot fall back to "
            f"{target.fallback}: that is another model. Whoever wrote this does not know of pipelines."
        )
    return ""
