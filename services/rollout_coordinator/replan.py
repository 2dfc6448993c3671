"""Planning again: what a plan sees once others moved, and a rollout that waited planned anew. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import Part, parts
from fleetward.contracts.places import place_of
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, RolloutState
from rollout_coordinator.conflicts import ahead_of
from rollout_coordinator.entries import entry_at
from rollout_coordinator.fleet import Fleet


def overtaken(fleet: Fleet, rollouts: Sequence[Rollout]) -> tuple[RobotId, ...]:
    """Robots that one of the open ``rollouts`` gave a newer target than ``fleet`` knows of."""
    return tuple(
        robot
        for rollout in rollouts
        for robot, progress in rollout.robots.items()
        if _is_overtaken(rollout, progress, fleet.targets.get(robot))
    )


def _is_overtaken(rollout: Rollout, progress: RobotProgress, target: RobotTarget | None) -> bool:
    """Whether the rollout gave the robot something newer than ``target``."""
    if progress.pipelines is UNSET:
        return progress.generation > (target.generation if target is not None else 0)
    return any(part[1].generation > _generation(part, target) for part in parts(rollout, progress))


def _generation(part: Part, target: RobotTarget | None) -> int:
    """What is known to have been given of one model of a rollout."""
    model, held = part
    known = entry_at(target, place_of(model.model.name, held.pipelines), held.pipelines)
    return known.generation if known is not None else 0


def seen_by(waiting: Rollout, fleet: Fleet) -> Fleet:
    """The fleet for a waiting rollout: who was queued behind it does not stand in its way."""
    lost = {
        robot
        for robot, progress in waiting.robots.items()
        if progress.phase is RobotPhase.SUPERSEDED
    }
    return replace(
        fleet,
        robots=tuple(robot for robot in fleet.robots if robot.robot_id not in lost),
        open_rollouts=ahead_of(waiting, fleet.open_rollouts),
    )


def continued(waiting: Rollout, plan: Rollout, now: datetime) -> Rollout:
    """The new plan under the old one's history; the same object when it waits as it did.

    A rollout keeps its place in the queue from when it first stood there.
    """
    is_queued = plan.state is RolloutState.QUEUED
    was_queued = waiting.state is RolloutState.QUEUED
    if is_queued and was_queued and plan.waits_for == waiting.waits_for:
        return waiting
    return replace(
        plan,
        revision=waiting.revision,
        word=waiting.word,
        controlled_at=waiting.controlled_at,
        traceparent=waiting.traceparent,
        started_at=waiting.started_at if is_queued and was_queued else now,
    )
