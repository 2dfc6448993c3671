"""One owner per robot and pipeline: what a rollout does about robots that belong to others. Pure.

Read aloud: a robot belongs to the open rollout that names it, from its planning on, unless a newer one
superseded it there; one with pipelines belongs to a rollout for each of its models. Of a set that is not
through nobody takes a part. A scheduled rollout owns nobody yet, and a success that is watched binds nobody.
Rollouts that wait begin in the order in which they were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.control import OnConflict
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.model_sets import Part, called, names, parts
from fleetward.contracts.ownership import Owners, owners
from fleetward.contracts.places import Place, held_by, place_of, places, spoken
from fleetward.contracts.robots import RobotTarget, TargetMode
from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    WAITING_STATES,
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutRequested,
    RolloutState,
)
from fleetward.contracts.wording import how_many, listed
from rollout_coordinator.entries import entry_at
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.serving import served
from rollout_coordinator.step import Superseded

MAX_ROLLOUTS_NAMED = 3
MAX_WRITES_TO_SUPERSEDE = 300
"""What is left of the server's largest batch beside the new rollout's own writes."""


def ahead_of(waiting: Rollout, rollouts: Sequence[Rollout]) -> tuple[Rollout, ...]:
    """Those that come before one that is planned anew: not itself, nor who was queued later."""
    turn = (waiting.started_at, waiting.rollout_id)
    return tuple(
        other
        for other in rollouts
        if other.rollout_id != waiting.rollout_id
        and (other.state is not RolloutState.QUEUED or (other.started_at, other.rollout_id) < turn)
    )


def placed(plan: Rollout, request: RolloutRequested, owned: Owners, now: datetime) -> Rollout:
    """The planned rollout as it stands at first: running, queued behind others, or scheduled.

    Raises PlanRefusedError when it may not begin, and its policy is to be refused then.
    """
    if request.begins_at is not None and request.begins_at > now:
        return replace(
            plan,
            state=RolloutState.SCHEDULED,
            reason=f"begins at {request.begins_at:%Y-%m-%d %H:%M:%S} UTC",
            begins_at=request.begins_at,
            request=request,
            waves=(),
            robots={},
        )
    taken = _taken(plan, owned)
    if not taken or request.policy.on_conflict is OnConflict.SUPERSEDE:
        return plan
    if request.policy.on_conflict is OnConflict.REFUSE:
        owner = owned[taken[0]]
        raise PlanRefusedError(
            f"{spoken(*taken[0])} belongs to rollout {owner.rollout_id}, which is {owner.state.value}. "
            f"Wait for it, or end it with `fleetward rollout abort {owner.rollout_id}`. "
            "`--on-conflict wait` begins when it has ended, `--on-conflict supersede` takes over now."
        )
    return _queued(plan, request, taken, owned)


def _taken(plan: Rollout, owned: Owners) -> list[tuple[RobotId, Place]]:
    """What the plan would change that belongs to others."""
    if not owned:
        return []
    return [
        held
        for robot, progress in plan.robots.items()
        for held in held_by(plan, robot, progress)
        if held in owned
    ]


def _queued(
    plan: Rollout,
    request: RolloutRequested,
    taken: Sequence[tuple[RobotId, Place]],
    owned: Owners,
) -> Rollout:
    ids = tuple(sorted({owned[held].rollout_id for held in taken}))
    reasons = [
        f"waits for rollout {rollout_id}, which owns "
        + listed([spoken(*held) for held in taken if owned[held].rollout_id == rollout_id])
        for rollout_id in ids[:MAX_ROLLOUTS_NAMED]
    ]
    further = len(ids) - len(reasons)
    reasons += [f"waits for {how_many(further, 'rollout')} more"] if further else []
    return replace(
        plan,
        state=RolloutState.QUEUED,
        reason="; ".join(reasons),
        waits_for=ids,
        request=request,
    )


def to_supersede(rollout: Rollout, others: Sequence[Rollout]) -> dict[RolloutId, Superseded]:
    """What each other open or watched rollout is told when ``rollout`` begins.

    A watched success gives robots up to anybody; who is queued for them goes on waiting.
    Raises PlanRefusedError when so many would have to be told that one write cannot hold it, and when
    models would be torn out of a set that is to switch together.
    """
    told: dict[RolloutId, Superseded] = {}
    writes = 0
    takes_over = rollout.policy.on_conflict is OnConflict.SUPERSEDE
    asked = [other for other in others if takes_over or other.state in FINAL_STATES]
    for other in asked if rollout.state is RolloutState.RUNNING else ():
        lost = tuple(
            robot
            for robot, progress in other.robots.items()
            if robot in rollout.robots
            and progress.phase is not RobotPhase.SUPERSEDED
            and _share(rollout, rollout.robots[robot], other, progress)
        )
        if lost and other.rollout_id != rollout.rollout_id:
            _refuse_part_of_set(rollout, other, lost)
            told[other.rollout_id] = Superseded(lost, rollout.rollout_id)
            writes += 3 + len(other.robots) // ROBOTS_PER_SHARD
    if writes > MAX_WRITES_TO_SUPERSEDE:
        raise PlanRefusedError(
            f"{len(told)} other rollouts would lose robots to it, too many for one decision. "
            "Narrow the selector, or end some of them first."
        )
    return told


def _refuse_part_of_set(rollout: Rollout, other: Rollout, lost: Sequence[RobotId]) -> None:
    """A model that was given to switch together with one that is taken would wait for it for ever."""
    if not other.together or other.state in FINAL_STATES | WAITING_STATES:
        return
    for robot in lost:
        taken = places(rollout, rollout.robots[robot])
        if any(place not in taken for place in places(other, other.robots[robot])):
            raise PlanRefusedError(
                f"{robot} belongs to rollout {other.rollout_id}, of {called(other)}, which switch together: "
                "one of them cannot be taken over. Roll all of them out, or end it with `fleetward rollout "
                f"abort {other.rollout_id}`."
            )


def _share(one: Rollout, held: RobotProgress, other: Rollout, progress: RobotProgress) -> bool:
    """Whether two rollouts change the same place on a robot."""
    changed, elsewhere = places(one, held), places(other, progress)
    return changed is elsewhere or any(place in elsewhere for place in changed)


def returns_to(target: RobotTarget, owner: Rollout | None) -> RobotProgress:
    """What a robot goes back to: what it serves, unless another rollout had not proved that yet."""
    held = _of_model(owner, target) if owner is not None else None
    if (
        owner is not None
        and held is not None
        and target.rollout_id == owner.rollout_id
        and target.mode is TargetMode.SERVE
        and not _stays(held, owner)
    ):
        return RobotProgress(
            generation=target.generation,
            previous=held.previous,
            previous_digest=held.previous_digest,
        )
    now = served(target)
    if now is None:
        return RobotProgress(generation=target.generation)
    return RobotProgress(
        generation=target.generation, previous=now.model, previous_digest=now.digest
    )


def _of_model(owner: Rollout, target: RobotTarget) -> RobotProgress | None:
    """Where the target's robot stands with the target's model in the rollout that owns it."""
    progress = owner.robots.get(target.robot_id)
    if progress is None or progress.together is UNSET:
        return progress
    name = target.model.name
    return next(
        (held for part in parts(owner, progress) if name in names(part) for held in part[1:]), None
    )


def _stays(held: RobotProgress, owner: Rollout) -> bool:
    """Whether the robot was heard to serve what it was given, and was not told to leave it."""
    is_proved = held.phase is RobotPhase.PROVED and owner.state is not RolloutState.REVERTING
    return is_proved or held.phase is RobotPhase.REVERTED


def given_since(
    rollout: Rollout, others: Sequence[Rollout], targets: Mapping[RobotId, RobotTarget]
) -> dict[RobotId, str]:
    """Robots of a rollout that ended which belong to another now, or were given something newer."""
    owned = owners([other for other in others if other.rollout_id != rollout.rollout_id])
    since: dict[RobotId, str] = {}
    for robot, progress in rollout.robots.items():
        told = [_since(robot, part, owned, targets.get(robot)) for part in parts(rollout, progress)]
        if any(told):
            since[robot] = next(filter(None, told))
    return since


def _since(robot: RobotId, part: Part, owned: Owners, last: RobotTarget | None) -> str:
    """What became of the place of one model of a rollout since; empty: nothing."""
    model, held = part
    place = place_of(model.model.name, held.pipelines)
    target, owner = entry_at(last, place, held.pipelines), owned.get((robot, place))
    if owner is not None:
        return f"belongs to rollout {owner.rollout_id}"
    if target is not None and target.generation > held.generation:
        return f"was given {target.model} by rollout {target.rollout_id}"
    return ""
