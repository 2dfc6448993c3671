"""Sends spooled telemetry in order and forgets it only when telemetry-ingest has it on disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from itertools import accumulate

from nats.aio.client import Client

from edge_bridge.disk_thread import DiskThread
from edge_bridge.link import Link
from edge_bridge.pace import Pace
from edge_bridge.telemetry.spool import Spool, SpoolError, Stored, Waiting
from edge_bridge.uplink import UplinkLimits
from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.bus.waiting import happens
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import TelemetryFrame, TelemetryStored

_logger = logging.getLogger(__name__)
_IDLE_S = 2.0
"""Longer than a robot at rest takes for a frame: then nothing wakes up for it."""


class FrameSender:
    """From the spool to the hub. A reconnect begins again at the oldest frame not yet stored."""

    def __init__(self, spool: Spool, link: Link, limits: UplinkLimits, disk: DiskThread) -> None:
        self._spool = spool
        self._disk = disk
        self._link = link
        self._limits = limits
        self._fresh = asyncio.Event()
        self._sent_place = 0
        """Where the next batch begins."""
        self._round = 0
        """Counts up with every begin_again, so that a batch under way then does not count."""
        self._acknowledged_place = 0
        """The newest frame in unbroken order that the hub ever acknowledged to this process."""
        self._progressed_s = time.monotonic()
        self._forgotten = 0
        """Frames of which that is said."""
        self._stored: dict[BootId, Stored] = {}
        """By boot, of which few are in the spool: what the hub has and the disk still holds."""
        self._pace = Pace(limits.pace)
        self._is_behind = False
        link.on_up.append(self.begin_again)

    def spooled(self) -> None:
        """A frame was appended: send it."""
        self._fresh.set()

    def begin_again(self) -> None:
        """Send every frame that is not known to be stored once more; the hub drops copies."""
        self._sent_place = 0
        self._round += 1
        self._progressed_s = time.monotonic()
        self._fresh.set()

    async def hear_watermarks(self, robot_id: RobotId, boot_id: BootId) -> None:
        """Forget what is stored, as it is announced, for ever; no more is announced than was sent."""
        example = TelemetryStored(robot_id=robot_id, boot_id=boot_id, sequence=0)
        announced: asyncio.Queue[bytes] = asyncio.Queue()
        await self._link.listen(example, announced.put_nowait)
        while True:
            self.stored(await announced.get())

    def stored(self, payload: bytes) -> None:
        """A watermark arrived: what it covers is forgotten by the next write to the disk."""
        try:
            watermark = decode(payload, TelemetryStored)
        except UnreadableMessageError as problem:
            log(_logger, "watermark.refused", level=logging.WARNING, reason=str(problem))
            return
        boot, sequence = watermark.boot_id, watermark.sequence
        self._stored[boot] = Stored(boot, sequence, self._acknowledged_place)

    @property
    def to_forget(self) -> tuple[Stored, ...]:
        """What the hub has, for the next write to the disk; ``forgot`` once that is done."""
        return tuple(self._stored.values())

    def forgot(self, stored: Sequence[Stored]) -> None:
        """The disk holds none of it any more."""
        if self._spool.frames_forgotten != self._forgotten:
            self._forgotten, self._progressed_s = self._spool.frames_forgotten, time.monotonic()
        for one in stored:
            if self._stored.get(one.boot) == one:
                del self._stored[one.boot]

    @property
    def is_behind(self) -> bool:
        """Whether more waits than can leave: what is cut now had better be small."""
        return self._is_behind or not self._link.is_up

    async def run(self) -> None:
        """Send for ever."""
        failures = 0
        while True:
            connection = await self._link.connected()
            self._fresh.clear()
            arrived = await self._send_portion(connection)
            failures = 0 if arrived else failures + 1
            if failures:
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )
            elif not self._is_behind:
                await self._idle()

    async def _send_portion(self, connection: Client) -> bool:
        """Whether all frames of the next portion were acknowledged."""
        newest = self._spool.take_newest(self._sent_place)
        try:
            portion = [newest] if newest else await self._disk.run(self._next_portion)
        except SpoolError as problem:
            log(_logger, "spool.unread", level=logging.ERROR, reason=str(problem))
            return False
        round_begun, begun_s = self._round, time.monotonic()
        size_bytes = sum(one.size_bytes for one in portion)
        timeout_s = self._limits.publish_timeout_s + size_bytes / self._limits.slowest_bytes_per_s
        acknowledged = await asyncio.gather(
            *(self._send(connection, one, timeout_s) for one in portion)
        )
        self._pace.moved(size_bytes, time.monotonic() - begun_s)
        if self._round != round_begun:
            return True
        for one, arrived in zip(portion, acknowledged, strict=True):
            if not arrived:
                return False
            self._sent_place = one.place
            self._acknowledged_place = max(self._acknowledged_place, one.place)
        return True

    def _next_portion(self) -> list[Waiting]:
        """At least one frame, if any waits. Raises SpoolError."""
        waiting = self._spool.waiting(
            self._sent_place, self._limits.frames_in_flight, self._limits.frames_numbered
        )
        sizes = accumulate(one.size_bytes for one in waiting)
        fitting = sum(size_bytes <= self._pace.portion_bytes for size_bytes in sizes)
        portion = waiting[: max(1, fitting)]
        is_full = len(waiting) == self._limits.frames_in_flight
        self._is_behind = is_full or len(portion) < len(waiting)
        return portion

    async def _send(self, connection: Client, waiting: Waiting, timeout_s: float) -> bool:
        try:
            await self._link.while_connected(
                publish(
                    connection,
                    waiting.frame,
                    message_id=message_id(waiting.frame),
                    timeout_s=timeout_s,
                )
            )
        except BusError as problem:
            log(_logger, "telemetry.unsent", level=logging.WARNING, reason=str(problem))
            return False
        return True

    async def _idle(self) -> None:
        """Until a frame is spooled, or until sent frames wait to be reported stored, perhaps too long."""
        while not await happens(self._fresh, _IDLE_S):
            await self.forget_stored()
            if time.monotonic() - self._progressed_s > self._limits.resend_after_s:
                self.begin_again()
            elif self._spool.last_place > self._sent_place:
                return

    async def forget_stored(self) -> None:
        """No frame comes that would write it down too; in a thread: the disk is waited for."""
        stored = self.to_forget
        try:
            for one in stored:
                await self._disk.run(self._spool.stored, one.boot, one.sequence, one.sent_place)
        except SpoolError as problem:
            log(_logger, "watermark.unwritten", level=logging.WARNING, reason=str(problem))
            return
        self.forgot(stored)


def message_id(frame: TelemetryFrame) -> str:
    """The same at every attempt; the random boot id keeps others from guessing it."""
    return f"{frame.boot_id}-{frame.sequence}"
