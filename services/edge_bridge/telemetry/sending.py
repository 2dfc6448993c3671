"""Sends spooled telemetry in order and forgets it only when telemetry-ingest has it on disk."""

from __future__ import annotations

import asyncio
import logging
import time

from nats.aio.client import Client

from edge_bridge.link import Link
from edge_bridge.settings import UplinkLimits
from edge_bridge.telemetry.spool import Spool, SpoolError, Waiting
from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import PublishError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.bus.waiting import happens
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import TelemetryFrame, TelemetryStored

_logger = logging.getLogger(__name__)
_IDLE_S = 1.0


class FrameSender:
    """From the spool to the hub. A reconnect begins again at the oldest frame not yet stored."""

    def __init__(self, spool: Spool, link: Link, limits: UplinkLimits) -> None:
        self._spool = spool
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
            await self.stored(await announced.get())

    async def stored(self, payload: bytes) -> None:
        """A watermark arrived: forget what it covers, in a thread: the disk is waited for."""
        try:
            watermark = decode(payload, TelemetryStored)
            forgotten = await asyncio.to_thread(
                self._spool.stored, watermark.boot_id, watermark.sequence, self._acknowledged_place
            )
        except (UnreadableMessageError, SpoolError) as problem:
            log(_logger, "watermark.refused", level=logging.WARNING, reason=str(problem))
            return
        if forgotten:
            self._progressed_s = time.monotonic()

    async def run(self) -> None:
        """Send for ever."""
        failures = 0
        while True:
            connection = await self._link.connected()
            self._fresh.clear()
            sent = await self._send_batch(connection)
            if sent is None:
                failures += 1
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )
                continue
            failures = 0
            if sent < self._limits.frames_in_flight:
                await self._idle()

    async def _send_batch(self, connection: Client) -> int | None:
        """How many frames were acknowledged; None when one was not."""
        try:
            batch = await asyncio.to_thread(
                self._spool.waiting,
                self._sent_place,
                self._limits.frames_in_flight,
                self._limits.frames_numbered,
            )
        except SpoolError as problem:
            log(_logger, "spool.unread", level=logging.ERROR, reason=str(problem))
            return None
        round_begun = self._round
        acknowledged = await asyncio.gather(*(self._send(connection, one) for one in batch))
        if self._round != round_begun:
            return len(batch)
        for one, arrived in zip(batch, acknowledged, strict=True):
            if not arrived:
                return None
            self._sent_place = one.place
            self._acknowledged_place = max(self._acknowledged_place, one.place)
        return len(batch)

    async def _send(self, connection: Client, waiting: Waiting) -> bool:
        try:
            await publish(
                connection,
                waiting.frame,
                message_id=message_id(waiting.frame),
                timeout_s=self._limits.publish_timeout_s,
            )
        except PublishError as problem:
            log(_logger, "telemetry.unsent", level=logging.WARNING, reason=str(problem))
            return False
        return True

    async def _idle(self) -> None:
        """Until a frame is spooled, or until sent frames wait to be reported stored, perhaps too long."""
        while not await happens(self._fresh, _IDLE_S):
            if time.monotonic() - self._progressed_s > self._limits.resend_after_s:
                self.begin_again()
            elif self._spool.size_bytes:
                return


def message_id(frame: TelemetryFrame) -> str:
    """The same at every attempt; the random boot id keeps others from guessing it."""
    return f"{frame.boot_id}-{frame.sequence}"
