"""Models that switch together: all are warm and may, then all serve from one turn of the loop on, or none.

A target names the models that switch with its own. Whoever finds every one of them ready switches them
all, without waiting in between. All become the robot's own in one write, once every one was proved; and
when one of them is left, all are, in this turn of the loop and in one write.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Sequence
from typing import Protocol

from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.converging.remembering import Change, Remembered, change_all
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
    def remembered(self) -> Remembered:
        """Its memory."""

    @property
    def target(self) -> RobotTarget | None:
        """The newest that it accepted."""

    @property
    def activated(self) -> RobotTarget | None:
        """The last that was proved."""

    @property
    def standing(self) -> Standing:
        """As of this turn of the loop."""

    @property
    def is_committed(self) -> bool:
        """Whether the newest target's model is the robot's own, on its disk."""

    def switch(self) -> Awaitable[None]:
        """Serve the target's model from now on; await what is returned to be done with the one before."""

    def interrupt(self) -> None:
        """Something changed that comes before whatever is under way."""

    async def prepare(self) -> None:
        """Make ready what is said of a target that is proved."""

    def commitment(self) -> Change:
        """The target's model becomes the robot's own."""

    def committed(self) -> None:
        """It is, on the robot's disk."""

    @property
    def left(self) -> RobotTarget | None:
        """What was activated, and was left by a return that is not written down yet."""

    def leave(self, reason: str) -> None:
        """Return from what was activated to the model before, where there is one."""

    def fallen(self) -> Change | None:
        """The model that it returned to becomes the robot's own; None: it is, or it did not return."""

    def fall_written(self) -> None:
        """It is, on the robot's disk."""


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

    def switch_others(self, target: RobotTarget) -> Sequence[Awaitable[None]]:
        """Switch all that are ready, now; await what is returned after switching ``target``'s own."""
        return [
            other.switch() for other in self._others(target) if other.standing is Standing.READY
        ]

    async def commit(self, own: Member, target: RobotTarget) -> bool:
        """Whether ``target``'s model is the robot's own: it becomes so in one write with all that switch
        with it, once every one was proved. Raises JournalError and changes nothing.
        """
        members = [own, *self._others(target)]
        if not own.is_committed and _may_commit(target, members):
            await asyncio.gather(*(member.prepare() for member in members))
            await to_its_end(_commit(target, members))
        return own.is_committed

    def tell_failed(self, target: RobotTarget) -> None:
        """``target`` failed: whoever switches with it looks at once."""
        for other in self._others(target):
            if other.standing is not Standing.FAILED:
                other.interrupt()

    def leave_with(self, own: Member) -> None:
        """Where ``own`` left what a set had brought, whoever switched with it returns now."""
        left = own.left
        if left is None:
            return
        for other in self._members:
            if other.activated is not None and are_one_set(left, other.activated):
                other.leave(f"it switched together with {left.model}, which was left again")

    async def write_fall(self, own: Member) -> None:
        """Remember and report, in one write, that ``own`` returned, and all that switched with what it left.

        Raises JournalError and changes nothing.
        """
        told: list[Member] = []
        await change_all(
            [each.remembered for each in self._members], lambda: self._falls(own, told)
        )
        for member in told:
            member.fall_written()

    def _falls(self, own: Member, told: list[Member]) -> list[Change]:
        """``told``: whose falls this write knows. Others may have some that the disk refused before."""
        self.leave_with(own)
        told.append(own)
        fallen = own.fallen()
        if fallen is None:
            return []
        others = [each for each in self._members if each is not own]
        told.extend(others)
        return [fallen, *(each for other in others if (each := other.fallen()) is not None)]

    def _others(self, target: RobotTarget) -> list[Member]:
        """Whoever has a target of the same set."""
        return [
            member
            for member in self._members
            if (held := member.target) is not None and are_one_set(target, held)
        ]


def are_one_set(one: RobotTarget, other: RobotTarget) -> bool:
    """Whether both are of the same rollout and instant, and name the same models.

    The instant tells a set that is given from the one that is taken back, which may be accepted here and
    not there yet.
    """
    return (
        bool(one.together)
        and one.rollout_id == other.rollout_id
        and one.together == other.together
        and one.issued_at == other.issued_at
        and one.model.name != other.model.name
    )


def _may_commit(target: RobotTarget, members: Sequence[Member]) -> bool:
    """Whether all that switch with ``target`` are here and were seen to do well."""
    names = {_name(member) for member in members}
    return names >= {target.model.name, *target.together} and all(
        member.standing is Standing.PROVED for member in members
    )


async def _commit(target: RobotTarget, members: Sequence[Member]) -> None:
    committing: list[Member] = []

    def decide() -> list[Change]:
        if _may_commit(target, members):
            committing.extend(member for member in members if not member.is_committed)
        return [member.commitment() for member in committing]

    await change_all([member.remembered for member in members], decide)
    for member in committing:
        member.committed()


def _model(member: Member) -> str:
    return str(member.target.model) if member.target else ""


def _name(member: Member) -> str:
    return member.target.model.name if member.target else ""
