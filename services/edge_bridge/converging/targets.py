"""Finds this robot's target: woken by a nudge, a timer or a reconnect; believed only when signed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable

from msgspec import Struct

from edge_bridge.converging.trust import Trust
from edge_bridge.converging.verify import verified_target
from edge_bridge.converging.withdrawals import WithdrawnDigests
from edge_bridge.errors import BridgeError
from edge_bridge.link import Link
from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens, within
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.curation import SignedWithdrawals
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotNudged, RobotTarget, SignedTarget
from fleetward.trust.signing import SignatureError

_logger = logging.getLogger(__name__)


class Offered(Struct, frozen=True):
    """A target whose signature holds under ``key_id``, and the trace it belongs to."""

    target: RobotTarget
    traceparent: str
    key_id: str


class Distrusted(Struct, frozen=True):
    """What an unsigned or wrongly signed target claims to be, and why it is refused."""

    claimed: RobotTarget
    reason: str


class TargetWatch:
    """Looks at ``robot.target`` and hands on what it finds, each signed payload once."""

    def __init__(
        self,
        robot_id: RobotId,
        link: Link,
        trust: Trust,
        *,
        poll_s: float,
        look_spacing_s: float,
        look_patience_s: float,
        withdrawn: WithdrawnDigests,
        on_withdrawn: Callable[[], None],
        on_offered: Callable[[Offered], None],
        on_distrusted: Callable[[Distrusted], None],
    ) -> None:
        self._robot_id = robot_id
        self._link = link
        self._trust = trust
        self._poll_s = poll_s
        self._look_spacing_s = look_spacing_s
        self._look_patience_s = look_patience_s
        self._withdrawn = withdrawn
        self._on_withdrawn = on_withdrawn
        self._on_offered = on_offered
        self._on_distrusted = on_distrusted
        self._wake = asyncio.Event()
        self._seen = b""
        link.on_up.append(self.look_now)

    def look_now(self) -> None:
        """Look as soon as the spacing between two looks allows."""
        self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        await self._link.listen(RobotNudged(robot_id=self._robot_id), lambda _: self.look_now())
        while True:
            self._wake.clear()
            await self._look()
            await asyncio.sleep(self._look_spacing_s)
            await happens(self._wake, self._poll_s)

    async def _look(self) -> None:
        connection = await self._link.connected()
        try:
            # The list first: no target is believed by who cannot know what was withdrawn.
            listed = await self._link.while_connected(last_value(connection, SignedWithdrawals))
            if listed is not None and self._withdrawn.take(listed.event):
                self._on_withdrawn()
            value = await self._link.while_connected(
                last_value(connection, SignedTarget, robot_id=self._robot_id)
            )
        except (BusError, UnreadableMessageError, BridgeError) as problem:
            log(_logger, "target.unread", level=logging.WARNING, reason=str(problem))
            return
        if value is not None:
            await self._hand_on(value.event)

    async def _hand_on(self, signed: SignedTarget) -> None:
        """A payload seen before is not handed on again: whoever got it kept it."""
        name = hashlib.sha256(signed.payload + signed.signature).digest()
        if name == self._seen:
            return
        self._seen = name
        await self._hear_of_rotated_keys(signed)
        try:
            target = verified_target(self._trust, signed)
        except (SignatureError, UnreadableMessageError) as problem:
            log(_logger, "target.distrusted", level=logging.ERROR, reason=str(problem))
            self._tell_distrust(signed, str(problem))
        else:
            self._on_offered(Offered(target, signed.traceparent, signed.key_id))

    async def _hear_of_rotated_keys(self, signed: SignedTarget) -> None:
        """Ask who may command robots today; without an answer, what is known counts."""
        try:
            claimed = decode(signed.payload, RobotTarget)
            await within(self._trust.refresh(claimed.model.name), self._look_patience_s)
        except (UnreadableMessageError, BridgeError, asyncio.TimeoutError) as problem:
            log(_logger, "trust.not_refreshed", level=logging.WARNING, reason=str(problem))

    def _tell_distrust(self, signed: SignedTarget, reason: str) -> None:
        try:
            claimed = decode(signed.payload, RobotTarget)
        except UnreadableMessageError:
            return  # nothing that could be reported about: the log has it
        if claimed.robot_id == self._robot_id:
            self._on_distrusted(Distrusted(claimed, reason))
