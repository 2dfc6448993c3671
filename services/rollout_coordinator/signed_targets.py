"""Signs the targets of a decision: a signature costs more than all else that is done for a target."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from fleetward.contracts.codec import encode
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.trust.signing import TARGET, SigningKey
from rollout_coordinator.signing_process import SigningProcess

SIGNED_AT_ONCE = 25
"""After so many, a millisecond or less, others have their turn."""
HELPED_FROM = 250
"""Who signs fewer at a time needs no second process."""
ASKED_AT_ONCE = 6
"""Shares that the second process has before it: some are on their way while it signs others."""


class Signed(Struct, frozen=True):
    """A target and the bytes in which it was signed."""

    target: RobotTarget
    signed: SignedTarget


class Signatory:
    """Signs alone, or, when there are many, together with a second process that it starts by then."""

    def __init__(self, key: SigningKey, helper: SigningProcess | None = None) -> None:
        self._key = key
        self._helper = helper
        self._starting: asyncio.Future[None] | None = None

    async def signed(self, targets: Sequence[RobotTarget], traceparent: str) -> tuple[Signed, ...]:
        """Each of ``targets`` signed, in their order."""
        payloads = [encode(target) for target in targets]
        return self._put_together(targets, payloads, await self._signatures(payloads), traceparent)

    async def signed_aside(
        self, targets: Sequence[RobotTarget], traceparent: str
    ) -> tuple[Signed, ...] | None:
        """The same by the second process alone, which is started for it; None when it cannot."""
        if self._helper is None:
            return None
        if not self._helper.is_ready:
            self._start(self._helper)
            await self.started()
        payloads = [encode(target) for target in targets]
        signatures = await self._helper.signatures(payloads)
        if signatures is None:
            return None
        return self._put_together(targets, payloads, signatures, traceparent)

    async def started(self) -> None:
        """Once the second process is there, if it is on its way."""
        if self._starting is not None:
            await asyncio.shield(self._starting)

    async def close(self) -> None:
        """End the second process."""
        await self.started()
        if self._helper is not None:
            await self._helper.stop()

    async def _signatures(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Shares are taken from the front here, and from the back by the second process."""
        starts = range(0, len(payloads), SIGNED_AT_ONCE)
        shares = [list(payloads[start : start + SIGNED_AT_ONCE]) for start in starts]
        made: list[list[bytes]] = [[] for _ in shares]
        left = deque(range(len(shares)))
        helping = [
            asyncio.ensure_future(self._help(shares, left, made))
            for _ in range(ASKED_AT_ONCE if self._is_helped(len(payloads)) else 0)
        ]
        try:
            while left or not all(helped.done() for helped in helping):
                if left:
                    ours = left.popleft()
                    made[ours] = [self._key.sign(TARGET, each).signature for each in shares[ours]]
                    await asyncio.sleep(0)
                else:
                    await asyncio.wait(helping)
        finally:
            for helped in helping:
                helped.cancel()
        return [signature for share in made for signature in share]

    async def _help(
        self, shares: list[list[bytes]], left: deque[int], made: list[list[bytes]]
    ) -> None:
        assert self._helper is not None
        while left:
            theirs = left.pop()
            answer = await self._helper.signatures(shares[theirs])
            if answer is None:
                left.append(theirs)
                return
            made[theirs] = answer

    def _is_helped(self, payloads: int) -> bool:
        """Whether the second process signs too; one that is not there is started for the next time."""
        if self._helper is None or payloads < HELPED_FROM:
            return False
        if not self._helper.is_ready:
            self._start(self._helper)
        return self._helper.is_ready

    def _start(self, helper: SigningProcess) -> None:
        """Unless it is on its way."""
        if self._starting is None or self._starting.done():
            self._starting = asyncio.ensure_future(helper.start())

    def _put_together(
        self,
        targets: Sequence[RobotTarget],
        payloads: Sequence[bytes],
        signatures: Sequence[bytes],
        traceparent: str,
    ) -> tuple[Signed, ...]:
        return tuple(
            Signed(
                target,
                SignedTarget(
                    robot_id=target.robot_id,
                    payload=payload,
                    key_id=self._key.key_id,
                    signature=signature,
                    traceparent=traceparent,
                ),
            )
            for target, payload, signature in zip(targets, payloads, signatures, strict=True)
        )
