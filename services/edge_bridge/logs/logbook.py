"""The robot's logs, as the bridge has them: a collector, an outbox for its segments, severe records said live.

Off, it takes nothing and starts nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from nats.aio.client import Client

from edge_bridge.converging.swap_gate import boot_time_s
from edge_bridge.converging.trust import Trust
from edge_bridge.errors import BridgeError
from edge_bridge.fetching.throttle import Throttle
from edge_bridge.hub_clock import reading
from edge_bridge.link import Link
from edge_bridge.logs.collecting import Collecting
from edge_bridge.logs.sealing import SealedSegment
from edge_bridge.logs.shipped import segment_of
from edge_bridge.logs.wire import Live, Message, Sealed
from edge_bridge.settings import Settings
from edge_bridge.shipping.fingerprint import fingerprint
from edge_bridge.shipping.outbox import Outbox
from edge_bridge.shipping.parts import PartSender
from edge_bridge.shipping.shipper import Shipper
from edge_bridge.shipping.standing import NumberGaps, Standing
from edge_bridge.shipping.upstream import Upstream
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.contracts.logs import SevereLogged, SevereRecord
from fleetward.contracts.segments import SUFFIXES, SegmentKind

if TYPE_CHECKING:
    import aiohttp

_logger = logging.getLogger(__name__)
LIVE_WAITING = 16
"""Messages of severe records that wait for the hub; the oldest go, and stand in their segments alone."""


class Logbook:
    """Made with the bridge; ``open`` and ``connect`` before ``parts``, ``stop`` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.logs
        self._directory = settings.state_dir / "logs"
        self._collecting: Collecting | None = None
        self._shipper: Shipper | None = None
        self._sealed: asyncio.Queue[SealedSegment] = asyncio.Queue()
        self._gaps = NumberGaps()
        self._live: deque[Live] = deque(maxlen=LIVE_WAITING)
        self._fresh = asyncio.Event()

    def open(self) -> Settings:
        """Begin to listen; returns settings whose workers' stderr is heard too.

        A disk that refuses costs the logs, not the robot.
        """
        settings = self._settings
        if not self._limits.enabled:
            return settings
        try:
            self._collecting = Collecting(self._directory / "segments", self._limits)
            self._outbox = Outbox(
                self._directory / "outbox",
                SegmentKind.LOGS,
                self._limits.shipping.outbox_bytes,
                reserve_bytes=settings.store.reserve_bytes,
            )
        except (OSError, BridgeError) as problem:
            log(_logger, "logs.off", level=logging.ERROR, reason=str(problem))
            return settings
        return _heard(settings, self._collecting.workers_fd)

    def connect(
        self,
        link: Link,
        session: Callable[[], aiohttp.ClientSession],
        upstream: Upstream,
        trust: Trust,
    ) -> None:
        """Who ships what is collected. ``trust`` knows the hub's time."""
        self._link, self._trust = link, trust
        if self._collecting is None:
            return
        limits = self._limits.shipping
        throttle = Throttle(limits.bytes_per_s)
        parts = PartSender(session, throttle, upstream, stall_s=limits.part_stall_s)
        self._shipper = Shipper(self._settings.robot_id, self._outbox, link, parts, limits)

    def standings(self) -> list[Standing]:
        """How the logs stand, where they are collected."""
        if self._collecting is None:
            return []
        return [self._outbox.standing(self._gaps.lost)]

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        if self._collecting is None or self._shipper is None:
            return {}
        return {
            "logs": self._collecting.run(self._hear),
            "log-segments": self._keep_sealed(),
            "log-shipper": self._shipper.run(),
            "severe-logs": self._say(),
        }

    async def stop(self) -> None:
        """Let the collector keep what it has."""
        if self._collecting is not None:
            await self._collecting.stop()

    def _hear(self, message: Message) -> None:
        if isinstance(message, Sealed):
            sealed = message.segment
            self._gaps.sealed(sealed.first, sealed.end, sealed.records)
            self._sealed.put_nowait(sealed)
        else:
            self._live.append(message)
            self._fresh.set()

    async def _keep_sealed(self) -> None:
        """The collector bounds how many there may be, and drops the oldest itself."""
        sealed = await self._sealed.get()
        while True:
            if await self._kept(sealed):
                sealed = await self._sealed.get()
            else:
                await asyncio.sleep(self._limits.retry_wait_limit_s)

    async def _kept(self, sealed: SealedSegment) -> bool:
        try:
            await asyncio.to_thread(self._put, sealed)
        except FileNotFoundError:
            return True  # given up for newer ones, or put in before
        except (BridgeError, OSError) as problem:
            log(_logger, "logs.not_kept", level=logging.ERROR, reason=str(problem))
            return False
        return True

    def _put(self, sealed: SealedSegment) -> None:
        path = self._directory / "segments" / f"{sealed.name}{SUFFIXES[SegmentKind.LOGS]}"
        bytes_are = fingerprint(path)
        segment = segment_of(sealed, bytes_are, self._clock_offset_s())
        self._outbox.put(path, segment, bytes_are.part_md5s)

    def _clock_offset_s(self) -> float | None:
        """The hub's clock minus the robot's; None before the hub was asked."""
        read = reading(self._trust.clock, boot_time_s())
        if read is None:
            return None
        return (read.hub_now - datetime.now(timezone.utc)).total_seconds()

    async def _say(self) -> None:
        while True:
            self._fresh.clear()
            while self._live:
                connection = await self._link.connected()
                await self._said(connection, self._live.popleft())
            await self._fresh.wait()

    async def _said(self, connection: Client, live: Live) -> None:
        said = SevereLogged(
            robot_id=self._settings.robot_id,
            records=tuple(
                SevereRecord(number=each.number, line=each.line.decode()) for each in live.records
            ),
            unsaid=live.unsaid,
            clock_offset_s=self._clock_offset_s(),
        )
        try:
            await publish(connection, said)
        except BusError as problem:
            log(_logger, "logs.unsaid", reason=str(problem))


def _heard(settings: Settings, workers_fd: int) -> Settings:
    """The workers of every pipeline."""
    return replace(
        settings,
        slots=replace(settings.slots, stderr_fd=workers_fd),
        pipelines={
            name: replace(pipeline, slots=replace(pipeline.slots, stderr_fd=workers_fd))
            for name, pipeline in settings.pipelines.items()
        },
    )
