"""The targets by which robots would go back, signed when all have been sent there.

To take a model back from thousands is bound by signatures, and a rollout that goes well leaves time for them. What
was signed is used only where it says, but for the moment it was issued, what would be said now: anything else is
signed when it is needed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotTarget, TargetMode
from fleetward.contracts.rollouts import (
    MAX_ROBOTS_PER_ROLLOUT,
    MAX_TARGETS_PER_STEP,
    Rollout,
    RolloutState,
)
from rollout_coordinator.giving import given
from rollout_coordinator.phases import everybody
from rollout_coordinator.revert import due_back, sent_back
from rollout_coordinator.signed_targets import SIGNED_AT_ONCE, Signatory, Signed
from rollout_coordinator.step import TargetOrder

MAX_KEPT = MAX_ROBOTS_PER_ROLLOUT
"""Robots whose return is kept: those that were sent there last."""
LATER = timedelta(microseconds=1)
"""A way back is issued at another instant than the way there: by that robots tell models that switch together
from those that go back together."""
MAX_AWAITED = MAX_ROBOTS_PER_ROLLOUT // SIGNED_AT_ONCE
"""Groups of robots whose returns are still to be signed; beyond that the oldest are left out."""


class _Awaited(Struct, frozen=True):
    """Some robots of ``rollout``, which holds no others, and what they were given there."""

    rollout: Rollout
    targets: tuple[RobotTarget, ...]


class Returns:
    """One replica's. Only the second process signs for it: the first has rollouts to look after."""

    def __init__(self, signatory: Signatory) -> None:
        self._signatory = signatory
        self._kept: dict[RobotId, Signed] = {}
        self._awaited: deque[_Awaited] = deque(maxlen=MAX_AWAITED)
        self._signing: asyncio.Task[None] | None = None

    def given(
        self, rollout: Rollout, order: TargetOrder, last: RobotTarget | None, now: datetime
    ) -> RobotTarget:
        """As ``giving.given``; the very target that was signed beforehand, if it says the same."""
        kept = self._kept.get(order.robot_id)
        if kept is not None and kept.target.generation == order.generation:
            target = given(rollout, order, last, kept.target.issued_at)
            if target == kept.target:
                return kept.target
        return given(rollout, order, last, now)

    async def signed(self, targets: Sequence[RobotTarget], traceparent: str) -> tuple[Signed, ...]:
        """Each of ``targets`` signed, in their order: before, or now."""
        kept = [self._kept_for(target) for target in targets]
        fresh = [target for target, one in zip(targets, kept, strict=True) if one is None]
        signed = iter(await self._signatory.signed(fresh, traceparent))
        return tuple(one or next(signed) for one in kept)

    def expect(self, rollout: Rollout, targets: Sequence[RobotTarget]) -> None:
        """These were given by ``rollout``; once ``begin`` is called, the ways back from there are signed.

        Not of a small rollout, whose return is one step, nor where the robot serves what it served before; and
        once they go back, none that is left.
        """
        if rollout.state is RolloutState.REVERTING:
            left = (each for each in self._awaited if each.rollout.rollout_id != rollout.rollout_id)
            self._awaited = deque(left, MAX_AWAITED)
        elif len(rollout.robots) > MAX_TARGETS_PER_STEP:
            self._await(rollout, targets)

    def _await(self, rollout: Rollout, targets: Sequence[RobotTarget]) -> None:
        serving = [target for target in targets if target.mode is TargetMode.SERVE]
        for start in range(0, len(serving), SIGNED_AT_ONCE):
            some = tuple(serving[start : start + SIGNED_AT_ONCE])
            robots = {target.robot_id: rollout.robots[target.robot_id] for target in some}
            self._awaited.append(_Awaited(replace(rollout, robots=robots), some))

    def begin(self) -> None:
        """Sign what is expected, while others have their turn."""
        if self._awaited and (self._signing is None or self._signing.done()):
            self._signing = asyncio.ensure_future(self._sign())

    async def ready(self) -> None:
        """Once all is signed that was begun."""
        if self._signing is not None:
            await asyncio.wait([self._signing])

    async def close(self) -> None:
        """Sign no more, and end the second process."""
        if self._signing is not None:
            self._signing.cancel()
            await asyncio.wait([self._signing])
        await self._signatory.close()

    async def _sign(self) -> None:
        while self._awaited:
            some = self._awaited.popleft()
            traceparent = some.rollout.traceparent
            made = await self._signatory.signed_aside(_ways_back(some), traceparent)
            if made is None:
                self._awaited.clear()  # it is signed when it is needed
                return
            for signed in made:
                self._keep(signed)

    def _keep(self, signed: Signed) -> None:
        self._kept.pop(signed.target.robot_id, None)
        self._kept[signed.target.robot_id] = signed
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]

    def _kept_for(self, target: RobotTarget) -> Signed | None:
        kept = self._kept.get(target.robot_id)
        return kept if kept is not None and kept.target is target else None


def _ways_back(some: _Awaited) -> list[RobotTarget]:
    """None of a robot that is on its way back already, or has nothing to go back to."""
    now = some.targets[0].issued_at + LATER
    robots = list(due_back(some.rollout, everybody(some.rollout)))
    step = sent_back(some.rollout, robots, now)
    last = {target.robot_id: target for target in some.targets}
    return [given(step.rollout, order, last[order.robot_id], now) for order in step.targets]
