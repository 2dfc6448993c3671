"""Where robots stand before a rollout gives them anything, and what they would go back to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import RobotId
from fleetward.contracts.members import MemberProgress, SetProgress
from fleetward.contracts.ownership import Owners, owners
from fleetward.contracts.places import place_of, said_at
from fleetward.contracts.registry import Variant
from fleetward.contracts.rollouts import RobotProgress
from fleetward.contracts.sites import SITE_LABEL
from rollout_coordinator.artifacts import Chosen, Wanted, settled
from rollout_coordinator.conflicts import returns_to
from rollout_coordinator.entries import Pipelines
from rollout_coordinator.fleet import Fleet

HARDWARE_LABEL = "hw"
"""With the site the label by whose values robots are compared with their like."""


def progresses(given: Mapping[RobotId, Variant], fleet: Fleet) -> dict[RobotId, RobotProgress]:
    """Where robots stand before a rollout gives them what is ``given``, and what they return to."""
    labels = {robot.robot_id: robot.labels for robot in fleet.robots}
    owned = owners(fleet.open_rollouts)
    return {
        robot: replace(
            _progress(robot, it, fleet, owned),
            site=labels[robot].get(SITE_LABEL, ""),
            hardware=labels[robot].get(HARDWARE_LABEL, ""),
        )
        for robot, it in given.items()
    }


def standing_with(
    wanted: Sequence[Wanted], given: Mapping[RobotId, Variant], choice: Chosen, fleet: Fleet
) -> dict[RobotId, RobotProgress]:
    """The same of every model that is ``wanted``, each with the variant that the robot is given."""
    own, *members = wanted
    standing = settled(progresses(given, fleet), given, own.variants)
    return _with_members(standing, choice, members, fleet) if members else standing


def _with_members(
    standing: Mapping[RobotId, RobotProgress],
    choice: Chosen,
    members: Sequence[Wanted],
    fleet: Fleet,
) -> dict[RobotId, RobotProgress]:
    """The robots with where the further models of a set stand on each."""
    owned = owners(fleet.open_rollouts)
    numbers = [{it: at for at, it in enumerate(each.variants)} for each in members]
    return {
        robot: replace(
            progress,
            together=SetProgress(
                members=tuple(
                    _member(robot, it, number.get(it, UNSET), fleet, owned)
                    for it, number in zip(choice.beside[robot], numbers, strict=True)
                )
            ),
        )
        for robot, progress in standing.items()
    }


def _member(
    robot: RobotId, it: Variant, variant: int | UnsetType, fleet: Fleet, owned: Owners
) -> MemberProgress:
    held = _progress(robot, it, fleet, owned)
    return MemberProgress(
        generation=held.generation,
        previous=held.previous,
        previous_digest=held.previous_digest,
        variant=variant,
    )


def _progress(robot: RobotId, given: Variant, fleet: Fleet, owned: Owners) -> RobotProgress:
    """Nobody returns to withdrawn bytes, nor to those that are being given."""
    pipelines, target = fleet.pipelines(robot), fleet.given(robot, given.model.name)
    if target is None:
        return replace(_before_any(robot, given, fleet, pipelines), pipelines=pipelines)
    owner = owned.get((robot, place_of(given.model.name, pipelines))) if owned else None
    held = returns_to(target, owner)
    if held.previous_digest in {*fleet.withdrawn, given.digest}:
        return RobotProgress(generation=held.generation, pipelines=pipelines)
    return held if pipelines is UNSET else replace(held, pipelines=pipelines)


def _before_any(
    robot: RobotId, given: Variant, fleet: Fleet, pipelines: Pipelines
) -> RobotProgress:
    """Its target says nothing of that place: the robot says which generation it took there last.

    It may have had another set of pipelines then, and refuses an older one. Of its own bridge it says too
    which release enrolment brought: nobody but the robot is harmed where that is not so.
    """
    heard, model = fleet.heard.get(robot), given.model.name
    said = said_at(heard.said, fleet.place(robot, model)) if heard is not None else None
    if pipelines is UNSET or said is None:
        return RobotProgress(generation=0)
    brought, its_digest = said.active_model, said.active_digest
    if model != BRIDGE_MODEL or brought is None or brought.name != BRIDGE_MODEL:
        return RobotProgress(generation=said.generation)
    if its_digest is None or its_digest in {*fleet.withdrawn, given.digest}:
        return RobotProgress(generation=said.generation)
    return RobotProgress(generation=said.generation, previous=brought, previous_digest=its_digest)
