"""Takes files out of an outbox, the oldest first, until each is stored; nothing ends it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from msgspec.structs import replace

from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.link import Link
from edge_bridge.shipping.asking import (
    ArrivedWrongError,
    Patience,
    UnansweredError,
    UploadRefusedError,
    asked,
)
from edge_bridge.shipping.limits import ShippingLimits
from edge_bridge.shipping.outbox import Outbox
from edge_bridge.shipping.parts import PartSender, parts_of
from edge_bridge.shipping.sealed import Sealed
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens
from fleetward.contracts.catalog import request_row_of
from fleetward.contracts.ids import RobotId
from fleetward.contracts.recordings import UploadGranted
from fleetward.contracts.segments import GrantSegment, KeepSegment

_logger = logging.getLogger(__name__)
_LOOK_AGAIN_S = 5.0


class Shipper:
    """One file of one outbox at a time, on the event loop."""

    def __init__(
        self,
        robot_id: RobotId,
        outbox: Outbox,
        link: Link,
        parts: PartSender,
        limits: ShippingLimits,
    ) -> None:
        self._robot_id = robot_id
        self._outbox = outbox
        self._link = link
        self._parts = parts
        self._limits = limits
        self._patience = Patience(limits.keep_patience_s, request_row_of(KeepSegment).timeout_s)
        self._fresh = asyncio.Event()

    async def run(self) -> None:
        """For ever; what goes wrong with a file is tried again, later and later."""
        failures, self._loop = 0, asyncio.get_running_loop()
        self._outbox.on_put = self._wake
        while True:
            self._fresh.clear()
            sealed = await asyncio.to_thread(self._outbox.take)
            if sealed is None:
                await happens(self._fresh, _LOOK_AGAIN_S)
                continue
            try:
                await self._ship(sealed)
                failures = 0
            except (BridgeError, OSError) as problem:
                failures += 1
                await asyncio.to_thread(self._outbox.released)
                log(
                    _logger,
                    "segment.unsent",
                    level=logging.WARNING,
                    segment_id=sealed.segment.segment_id,
                    reason=str(problem),
                )
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the bridge ended meanwhile
            self._loop.call_soon_threadsafe(self._fresh.set)

    async def _ship(self, sealed: Sealed) -> None:
        current = sealed
        try:
            granted = await self._granted(sealed)
            if granted.upload_id != sealed.upload_id:
                current = replace(sealed, upload_id=granted.upload_id)
                with suppress(BridgeError):  # it only would have to be sent from the beginning
                    await asyncio.to_thread(self._outbox.keep, current)
            await self._send(current, granted)
        except ArrivedWrongError as problem:
            await self._again(current, str(problem))
            return
        except (UploadRefusedError, FileNotFoundError) as problem:
            await asyncio.to_thread(self._outbox.give_up, current, str(problem))
            return
        await asyncio.to_thread(self._outbox.stored, current)
        segment = current.segment
        log(_logger, "segment.stored", segment_id=segment.segment_id, bytes=segment.size_bytes)

    async def _granted(self, sealed: Sealed) -> UploadGranted:
        granted: UploadGranted = await asked(
            self._link,
            GrantSegment(
                robot_id=self._robot_id, segment=sealed.segment, upload_id=sealed.upload_id
            ),
        )
        return granted

    async def _send(self, sealed: Sealed, granted: UploadGranted) -> None:
        """What has not arrived; then it is put together."""
        segment = sealed.segment
        path = self._outbox.path_of(segment)
        for part in parts_of(granted.urls, granted.part_bytes, segment.size_bytes):
            await self._parts.send(path, part)
        await self._keep(
            KeepSegment(
                robot_id=self._robot_id,
                segment=segment,
                upload_id=granted.upload_id,
                part_md5s=sealed.part_md5s,
            )
        )

    async def _keep(self, keep: KeepSegment) -> None:
        try:
            await asked(self._link, keep, patience_s=self._patience.seconds)
        except UnansweredError:
            self._patience.ran_out()
            raise
        self._patience.answered()

    async def _again(self, sealed: Sealed, reason: str) -> None:
        again = replace(sealed, upload_id="", attempts=sealed.attempts + 1)
        if again.attempts >= self._limits.upload_attempts:
            await asyncio.to_thread(self._outbox.give_up, again, reason)
            return
        await asyncio.to_thread(self._outbox.keep, again)
        raise TransientError(reason)
