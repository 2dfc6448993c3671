"""Models that switch together: all are warm and may, then all serve from one turn of the loop on, or none.

A target names the models that switch with its own. Whoever finds every one of them ready switches them
all, without waiting in between. Each counts as the robot's own only when all were proved, and while one
of them has its window, another that is left takes it back too.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Sequence
from typing import Protocol

from edge_bridge.errors import TogetherError
from fleetward.contracts.robots import RobotTarget


class Standing(enum.Enum):
    """Where a pipeline is on the way to its target."""

    PREPARING = "is not warm yet, or may not switch"
    READY = "is warm and may switch"
    SERVES = "serves"
    PROVED = "serves, and was seen to do well"
    FAILED = "failed"
    LEFT = "was left again"


class Member(Protocol):
    """One pipeline."""

    @property
    def target(self) -> RobotTarget | None:
        """The newest that it accepted."""

    @property
    def standing(self) -> Standing:
        """As of this turn of the loop."""

    def switch(self) -> Awaitable[None]:
        """Serve the target's model from now on; await what is returned to be done with the one before."""

    def interrupt(self) -> None:
        """Something changed that comes before whatever is under way."""


class Together:
    """All pipelines of a robot. Everything runs on the event loop."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def add(self, member: Member) -> None:
        """One more pipeline."""
        self._members.append(member)

    def refuse_after_failure(self, target: RobotTarget) -> None:
        """Raise TogetherError when one that switches with ``target`` cannot."""
        for other in self._others(target):
            if other.standing is Standing.FAILED:
                raise TogetherError(
                    f"{target.model} switches together with {_model(other)}, which failed on this robot: "
                    "see what it reported, correct it, and roll all of them out again."
                )

    def reason_to_return(self, target: RobotTarget) -> str:
        """Why a model that serves is left although it does well; empty when it is not."""
        for other in self._others(target):
            if other.standing in {Standing.LEFT, Standing.FAILED}:
                return f"it switched together with {_model(other)}, which {other.standing.value}"
        return ""

    def waits_for(self, target: RobotTarget) -> str:
        """Whom a switch waits for, and why; empty: for nobody."""
        others = {_name(other): other for other in self._others(target)}
        for name in target.together:
            if name == target.model.name:
                continue
            if name not in others:
                return f"it switches together with {name}, which has no such target yet"
            standing = others[name].standing
            if standing not in {Standing.READY, Standing.SERVES, Standing.PROVED}:
                return f"it switches together with {name}, which {standing.value}"
        return ""

    def are_proved(self, target: RobotTarget) -> bool:
        """Whether all that switch with ``target`` were seen to do well."""
        proved = {
            _name(other) for other in self._others(target) if other.standing is Standing.PROVED
        }
        return proved >= set(target.together) - {target.model.name}

    def switch_others(self, target: RobotTarget) -> Sequence[Awaitable[None]]:
        """Switch all that are ready, now; await what is returned after switching ``target``'s own."""
        return [
            other.switch() for other in self._others(target) if other.standing is Standing.READY
        ]

    def tell_failed(self, target: RobotTarget) -> None:
        """``target`` failed: whoever switches with it looks at once."""
        for other in self._others(target):
            if other.standing is not Standing.FAILED:
                other.interrupt()

    def _others(self, target: RobotTarget) -> list[Member]:
        """Whoever has a target of the same rollout and instant that names the same models.

        The instant tells a set that is given from the one that is taken back, which may be accepted here
        and not there yet.
        """
        return [
            member
            for member in self._members
            if target.together
            and (held := member.target) is not None
            and held.rollout_id == target.rollout_id
            and held.together == target.together
            and held.issued_at == target.issued_at
            and held.model.name != target.model.name
        ]


def _model(member: Member) -> str:
    return str(member.target.model) if member.target else ""


def _name(member: Member) -> str:
    return member.target.model.name if member.target else ""
