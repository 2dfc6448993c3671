"""Orders for models that switch together on a robot: one order, with the others in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from fleetward.contracts.members import MemberProgress
from fleetward.contracts.model_sets import parts, with_members
from fleetward.contracts.rollouts import RobotProgress, Rollout
from rollout_coordinator.step import TargetOrder


def switching_together(orders: Sequence[TargetOrder]) -> TargetOrder:
    """The orders as one; a single one is as it was."""
    first, *others = orders
    return replace(first, together=tuple(others)) if others else first


def given_anew(progress: RobotProgress) -> RobotProgress:
    """The robot's further models as a new order finds them: none of the set has arrived."""
    return with_members(progress, _next, ())


def ordered_back(rollout: Rollout, progress: RobotProgress) -> RobotProgress:
    """The same for its return: what it had no version of before stays as it is."""
    held = parts(rollout, progress)
    stay = tuple(part.model.name for part, each in held if each.previous_digest is None)
    return with_members(
        progress, lambda each: each if each.previous_digest is None else _next(each), stay
    )


def _next(member: MemberProgress) -> MemberProgress:
    return replace(member, generation=member.generation + 1)
