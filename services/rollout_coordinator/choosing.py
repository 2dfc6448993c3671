"""What each robot of a request is given, of one model or of several that switch together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import ModelName, RobotId
from fleetward.contracts.members import Member
from fleetward.contracts.registry import ModelRecord, Variant
from fleetward.contracts.robots import MAX_PIPELINES, RobotEnrolled
from fleetward.contracts.rollouts import Rollout, RolloutRequested, Strategy
from rollout_coordinator.artifacts import Chosen, Wanted, chosen, extras_of, wanted_by
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.fleet import Fleet

NO_UPDATER = (
    "self-update is not available there: its bridge did not say that a launcher started it. Update it as it "
    "was installed, or enrol it with `fleetward robot enroll user@host`"
)
_COMPARES = frozenset({Strategy.SHADOW, Strategy.A_B})


def wanted_of(
    request: RolloutRequested, record: ModelRecord | None, fleet: Fleet
) -> tuple[Wanted, ...]:
    """The version of each model that is asked for, the rollout's own first; raises PlanRefusedError."""
    _refuse_no_set(request)
    _refuse_of_bridge(request)
    own = wanted_by(request.model, record)
    return (own, *(wanted_by(each, fleet.further.get(each.name)) for each in request.together))


def _refuse_no_set(request: RolloutRequested) -> None:
    names = [each.name for each in (request.model, *request.together)]
    if len(set(names)) < len(names):
        twice = next(one for one, other in pairwise(sorted(names)) if one == other)
        raise PlanRefusedError(
            f"{twice} is named twice: models that switch together are different ones."
        )
    if len(request.together) > MAX_PIPELINES:
        raise PlanRefusedError(
            f"{len(names)} models are to switch together; a robot serves {MAX_PIPELINES + 1} at most."
        )
    if request.together and request.strategy is Strategy.SHADOW:
        raise PlanRefusedError(
            "models in a shadow never switch, so they cannot switch together. Shadow each by a rollout "
            "of its own."
        )


def _refuse_of_bridge(request: RolloutRequested) -> None:
    """A release of the bridge restarts all that serves: it is no model to switch or compare with others."""
    names = [each.name for each in (request.model, *request.together)]
    if BRIDGE_MODEL in names and request.together:
        raise PlanRefusedError(
            f"{BRIDGE_MODEL} is the bridge itself and switches with no model. Roll it out by itself."
        )
    if BRIDGE_MODEL in names and request.strategy in _COMPARES:
        raise PlanRefusedError(
            f"{BRIDGE_MODEL} is the bridge itself, which cannot be rolled out by {request.strategy.value}. "
            "Use canary, rolling, blue-green or all-at-once."
        )


def given_by(rollout: Rollout, record: ModelRecord | None = None) -> tuple[Wanted, ...]:
    """The same of a rollout that was planned; ``record``: of its own model, for releases of the bridge."""
    every: tuple[Rollout | Member, ...] = (rollout, *rollout.together)
    return tuple(
        Wanted(
            *(each.model, each.variants or (Variant(model=each.model, digest=each.digest),)),
            extras_of(record),
        )
        for each in every
    )


def choice_of(wanted: Sequence[Wanted], robots: Iterable[RobotEnrolled], fleet: Fleet) -> Chosen:
    """What each robot is given; who has no place, or no variant, for one of the models is given none."""
    own, *others = wanted
    choice = chosen(own.artifacts, robots)
    if own.model.name == BRIDGE_MODEL:
        return _with_updaters_alone(choice, own, fleet)
    if not others:
        return choice
    among = [robot for robot in fleet.robots if robot.robot_id in choice.of]
    misfits, of = dict(choice.misfits), dict(choice.of)
    beside = {robot: tuple[Variant, ...]() for robot in of}
    for each in others:
        found = chosen(each.artifacts, among)
        misfits |= {robot: why for robot, why in found.misfits.items() if robot in of}
        beside = {robot: (*beside[robot], it) for robot, it in found.of.items() if robot in beside}
    names = [each.model.name for each in wanted]
    for robot in beside:
        reason = _place_lacked(names, {fleet.place(robot, name) for name in names})
        if reason:
            misfits[robot] = reason
    fits = {robot: it for robot, it in of.items() if robot not in misfits}
    return replace(
        choice,
        of=fits,
        misfits=misfits,
        beside={robot: it for robot, it in beside.items() if robot in fits},
    )


def _with_updaters_alone(choice: Chosen, wanted: Wanted, fleet: Fleet) -> Chosen:
    """Of those that a release fits, the robots whose bridges can become it."""
    found = {robot: _unfit(robot, it, wanted, fleet) for robot, it in choice.of.items()}
    unable = {robot: reason for robot, reason in found.items() if reason}
    return replace(
        choice,
        of={robot: it for robot, it in choice.of.items() if robot not in unable},
        misfits={**choice.misfits, **unable},
    )


def _unfit(robot: RobotId, given: Variant, wanted: Wanted, fleet: Fleet) -> str:
    """Why a robot's bridge would not become this release; empty: as far as the robot said, it would."""
    if fleet.place(robot, BRIDGE_MODEL) is None:
        return NO_UPDATER
    needed = fleet.extras(robot)
    lacked = needed - wanted.extras.get(given.digest, needed)
    if not lacked:
        return ""
    extras = " ".join(f"--extra {extra}" for extra in sorted(needed))
    return (
        f"its settings need {', '.join(sorted(lacked))}, which this release lacks. Publish one with "
        f"`fleetward bridge push {extras}`, or change the robot's settings"
    )


def _place_lacked(names: Sequence[ModelName], places: set[ModelName | None]) -> str:
    """Why a robot cannot serve all of these models at once; empty: it can."""
    if len(places) == len(names):
        return ""
    unplaced = [name for name in names if name not in places]
    return (
        f"it has one pipeline for {' and '.join(unplaced)}: name "
        f"{'it' if len(unplaced) == 1 else 'all but one of them'} in FLEETWARD_PIPELINES on the robot"
    )
