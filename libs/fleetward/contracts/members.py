"""What a rollout holds of the models that switch together with its own."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from fleetward.contracts.ids import Digest, ModelName, ModelRef
from fleetward.contracts.registry import Variant


class Member(Struct, frozen=True, kw_only=True):
    """One further model of a set; ``digest`` and ``variants`` as in the rollout itself."""

    model: ModelRef
    digest: Digest
    variants: tuple[Variant, ...] = ()


class MemberProgress(Struct, frozen=True, kw_only=True):
    """One further model on one robot: its newest generation there, and what it goes back to."""

    generation: int = 0
    previous: ModelRef | None = None
    previous_digest: Digest | None = None
    variant: int | UnsetType = UNSET


class SetProgress(Struct, frozen=True, kw_only=True):
    """The further models of a set on one robot, in the order of ``Rollout.together``.

    ``arrived``: which of all models of the set did what the robot's newest target asks, or need not.
    """

    members: tuple[MemberProgress, ...]
    arrived: tuple[ModelName, ...] = ()
