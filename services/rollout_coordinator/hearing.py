"""A robot's word in a rollout: of one model, or of models that switch together. Pure.

Read aloud: a robot has proved, staged or left a set when every model of it has. It failed when one did.
It is held back when every model that has not arrived says so: who waits for one that is still on its way
there is not.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.ids import ModelName
from fleetward.contracts.model_sets import models, names, parts
from fleetward.contracts.places import place_of, said_at
from fleetward.contracts.robots import ModelFellBack, RobotCheckedIn
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout
from fleetward.contracts.variants import wanted
from fleetward.contracts.wording import shortened
from rollout_coordinator.robot_facts import (
    MAX_REASON_CHARACTERS,
    RobotFact,
    held_back,
    told_alone,
)

_ARRIVED = frozenset({RobotPhase.STAGED, RobotPhase.PROVED, RobotPhase.REVERTED})


def progressed(rollout: Rollout, fact: RobotFact, stored_at: datetime) -> RobotProgress | None:
    """The robot's new progress, or None when the fact changes nothing."""
    progress = rollout.robots.get(fact.robot_id)
    if progress is None or getattr(fact, "rollout_id", rollout.rollout_id) != rollout.rollout_id:
        return None
    if _is_elsewhere(progress):
        return None
    if progress.together is UNSET:
        return told_alone(rollout, progress, fact, stored_at)
    return _of_set(rollout, progress, fact, stored_at)


def _is_elsewhere(progress: RobotProgress) -> bool:
    """Another rollout took it: whatever it says of our target is late."""
    was_taken = progress.phase is RobotPhase.UNKNOWN and progress.targeted_at is None
    return was_taken or progress.phase is RobotPhase.SUPERSEDED


def _of_set(
    rollout: Rollout, progress: RobotProgress, fact: RobotFact, stored_at: datetime
) -> RobotProgress | None:
    if isinstance(fact, RobotCheckedIn) and _is_on_its_way(progress):
        return _waiting(rollout, progress, fact, stored_at)
    now = progress
    for name in _told_of(rollout, progress, fact):
        model, held = next(part for part in parts(rollout, now) if part[0].model.name == name)
        became = told_alone(model, held, fact, stored_at)
        if became is not None:
            now = _merged(rollout, now, model, became, fact)
    return None if now == progress else now


def _is_on_its_way(progress: RobotProgress) -> bool:
    return progress.phase is RobotPhase.TARGETED and progress.silent_at is None


def _told_of(rollout: Rollout, progress: RobotProgress, fact: RobotFact) -> list[ModelName]:
    """The models of the set that the fact is about."""
    held = parts(rollout, progress)
    if progress.phase is RobotPhase.REVERTING:
        held = tuple(part for part in held if part[0].model.name not in _arrived_of(progress))
    match fact:
        case RobotCheckedIn():
            about = held
        case AlertFired(digest=None):
            about = held[:1]
        case AlertFired():
            about = tuple(part for part in held if wanted(*part).digest == fact.digest)
        case ModelFellBack():
            about = tuple(part for part in held if wanted(*part).digest == fact.from_digest)
        case _:
            about = tuple(part for part in held if fact.model.name in names(part))
    return [model.model.name for model, _ in about]


def _arrived_of(progress: RobotProgress) -> tuple[ModelName, ...]:
    """Of a robot that goes back: what is back, and what stays as it is."""
    return () if progress.together is UNSET else progress.together.arrived


def _merged(
    rollout: Rollout,
    now: RobotProgress,
    model: Rollout,
    became: RobotProgress,
    fact: RobotFact,
) -> RobotProgress:
    """The robot in the set, once one model of it ``became`` something else."""
    assert now.together is not UNSET, "only a set has members"
    if became.phase in _ARRIVED and became.phase is not now.phase:
        return _arrived(rollout, now, model.model.name, became)
    reason = became.reason
    if became.phase is RobotPhase.FAILED and not isinstance(fact, AlertFired):
        reason = shortened(f"{model.model}: {reason}", MAX_REASON_CHARACTERS)
    fell_silent = became.silent_at is not None and now.silent_at is None
    return replace(
        now,
        phase=became.phase,
        silent_at=became.silent_at,
        targeted_at=became.targeted_at,
        held_at=became.held_at,
        reason=reason,
        together=replace(now.together, arrived=()) if fell_silent else now.together,
    )


def _arrived(
    rollout: Rollout, now: RobotProgress, name: ModelName, became: RobotProgress
) -> RobotProgress:
    """It arrived with one more model; the robot has when all have."""
    assert now.together is not UNSET, "only a set has members"
    if name in now.together.arrived:
        return now
    arrived = (*now.together.arrived, name)
    together = replace(now.together, arrived=arrived)
    if len(arrived) < len(models(rollout)):
        return replace(now, together=together)
    return replace(
        now,
        phase=became.phase,
        proved_at=became.proved_at,
        silent_at=became.silent_at,
        held_at=became.held_at,
        reason=became.reason,
        together=together,
    )


def _waiting(
    rollout: Rollout, progress: RobotProgress, fact: RobotCheckedIn, stored_at: datetime
) -> RobotProgress | None:
    """What the pipelines say that have not arrived: only if each is held back, the robot is."""
    assert progress.together is not UNSET, "only a set has members"
    heard: dict[ModelName, str] = {}
    for model, held in parts(rollout, progress):
        name = model.model.name
        said = said_at(fact, place_of(name, progress.pipelines))
        is_of_target = said is not None and said.generation == held.generation
        if name in progress.together.arrived or said is None or not is_of_target:
            continue
        heard[name] = said.held_back
    if not heard:
        return None
    told = "; ".join(f"{name}: {why}" for name, why in heard.items())
    return held_back(progress, told if all(heard.values()) else "", stored_at)
