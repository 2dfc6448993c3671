"""What the withdrawal of some bytes means for a rollout: nobody is given them, nobody returns to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.members import Member
from fleetward.contracts.model_sets import not_returning, returns_to
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout
from fleetward.contracts.variants import digests
from rollout_coordinator.robot_facts import is_to_serve
from rollout_coordinator.step import with_robots


def recall_reason(rollout: Rollout, fact: ModelWithdrawn) -> str:
    """Why the rollout must be taken back now, or an empty string."""
    if fact.digest not in digests(rollout):
        return ""
    return f"{_called(rollout, fact.digest)} was withdrawn: {fact.reason}"


def without_return(rollout: Rollout, fact: ModelWithdrawn) -> Rollout:
    """The rollout with nobody returning to withdrawn bytes; the same object if nobody would.

    Such a robot keeps what it has, as one that never had another model. Not so one that serves those
    bytes on and shadows or stages the model: going back, it only gives that up, and no byte moves. Once
    it is told to switch there is no way back (``waves``).
    """
    held = {
        robot: progress
        for robot, progress in rollout.robots.items()
        if fact.digest in returns_to(progress)
    }
    lost = {
        robot: _without_return(progress, fact.digest)
        for robot, progress in held.items()
        if is_to_serve(rollout, progress)
    }
    stays = len(lost) < len(held) and fact.digest not in rollout.withdrawn
    noted = replace(rollout, withdrawn=(*rollout.withdrawn, fact.digest)) if stays else rollout
    return with_robots(noted, lost) if lost else noted


def _without_return(progress: RobotProgress, digest: Digest) -> RobotProgress:
    stayed = not_returning(progress, (digest,))
    if progress.phase is not RobotPhase.REVERTING:
        return stayed
    reason = "what it served before was withdrawn while it returned"
    return replace(stayed, phase=RobotPhase.FAILED, reason=reason)


def recalled(
    rollout: Rollout, withdrawn: Mapping[Digest, str], now: datetime
) -> ModelWithdrawn | None:
    """The withdrawal as a fact again, for a rollout that was not there when it was told; None: of none."""
    digest = min(digests(rollout) & withdrawn.keys(), default=None)
    if digest is None:
        return None
    model = _called(rollout, digest)
    return ModelWithdrawn(
        name=model.name,
        version=model.version,
        digest=digest,
        reason=withdrawn[digest],
        withdrawn_at=now,
    )


def _called(rollout: Rollout, digest: Digest) -> ModelRef:
    """Under which name the rollout gives these bytes."""
    given: tuple[Rollout | Member, ...] = (rollout, *rollout.together)
    named = (each.model for of in given for each in (of, *of.variants) if each.digest == digest)
    return next(named, rollout.model)
