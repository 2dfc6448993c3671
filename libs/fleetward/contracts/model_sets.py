"""A rollout of models that switch together, model by model: each as if it were the only one."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.ids import Digest, ModelName
from fleetward.contracts.members import MemberProgress
from fleetward.contracts.rollouts import RobotProgress, Rollout

Part = tuple[Rollout, RobotProgress]
"""A rollout of one model of a set, and where the robot stands in that."""


def models(rollout: Rollout) -> tuple[ModelName, ...]:
    """The names of the models that it gives, its own first."""
    return (rollout.model.name, *(each.model.name for each in rollout.together))


def called(rollout: Rollout) -> str:
    """What it gives, for people."""
    given = [str(rollout.model), *(str(each.model) for each in rollout.together)]
    return f"{', '.join(given[:-1])} and {given[-1]}" if len(given) > 1 else given[0]


def alone(rollout: Rollout) -> tuple[Rollout, ...]:
    """A rollout of each model by itself, its own first."""
    if not rollout.together:
        return (rollout,)
    members = (
        replace(rollout, model=each.model, digest=each.digest, variants=each.variants, together=())
        for each in rollout.together
    )
    return (replace(rollout, together=()), *members)


def parts(rollout: Rollout, progress: RobotProgress) -> tuple[Part, ...]:
    """Each model of the set with where the robot stands, the rollout's own first."""
    if progress.together is UNSET:
        return ((rollout, progress),)
    held = (
        replace(
            progress,
            generation=each.generation,
            previous=each.previous,
            previous_digest=each.previous_digest,
            variant=each.variant,
            together=UNSET,
        )
        for each in progress.together.members
    )
    own = replace(progress, together=UNSET)
    return tuple(zip(alone(rollout), (own, *held), strict=True))


def names(part: Part) -> set[ModelName]:
    """What the robot may call it: the new model, or the one before."""
    model, held = part
    return {model.model.name, held.previous.name if held.previous else model.model.name}


def may_return(progress: RobotProgress) -> bool:
    """Whether the robot had another version of any of the models before."""
    return progress.previous_digest is not None or any(returns_to(progress))


def returns_to(progress: RobotProgress) -> tuple[Digest | None, ...]:
    """The bytes that it would go back to, of each model."""
    held = () if progress.together is UNSET else progress.together.members
    return (progress.previous_digest, *(each.previous_digest for each in held))


def not_returning(
    progress: RobotProgress, digests: Collection[Digest | None] | None = None
) -> RobotProgress:
    """The robot with nothing to go back to, of any model; ``digests``: only not to these."""
    gone = digests is None or progress.previous_digest in digests
    left = replace(progress, previous=None, previous_digest=None) if gone else progress

    def kept(member: MemberProgress) -> MemberProgress:
        if digests is not None and member.previous_digest not in digests:
            return member
        return replace(member, previous=None, previous_digest=None)

    return with_members(left, kept)


def with_members(
    progress: RobotProgress,
    changed: Callable[[MemberProgress], MemberProgress],
    arrived: tuple[ModelName, ...] | None = None,
) -> RobotProgress:
    """The robot with each further model changed, and who arrived; the same object where there is none."""
    held = progress.together
    if held is UNSET:
        return progress
    members = tuple(map(changed, held.members))
    who = held.arrived if arrived is None else arrived
    return replace(progress, together=replace(held, members=members, arrived=who))
