"""Sends a recording to the store in parts: under a byte rate, and on from where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.fetching.throttle import Throttle
from edge_bridge.link import Link
from edge_bridge.recorder.limits import RecorderLimits
from fleetward.bus.errors import BusError, RefusedError
from fleetward.bus.requests import ask
from fleetward.bus.waiting import cancelled
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId
from fleetward.contracts.recordings import (
    GrantUpload,
    KeepRecording,
    RecordingKept,
    RecordingMade,
    UploadGranted,
)

if TYPE_CHECKING:
    import aiohttp

_OK = 200
_REFUSED_FOR_GOOD = frozenset({"RecordingRefusedError"})
_ARRIVED_WRONG = frozenset({"DigestMismatchError", "UploadIncompleteError"})


class RecordingRefusedError(BridgeError):
    """The registry takes no such recording, now or ever."""


class ArrivedWrongError(BridgeError):
    """What the store has is not what the robot has: everything is sent anew."""


class Uploader:
    """One recording at a time. ``sent_bytes`` counts every byte of every attempt."""

    def __init__(
        self,
        robot_id: RobotId,
        link: Link,
        session: aiohttp.ClientSession,
        limits: RecorderLimits,
        throttle: Throttle | None = None,
    ) -> None:
        self._robot_id = robot_id
        self._link = link
        self._session = session
        self._limits = limits
        self._throttle = throttle or Throttle(limits.bytes_per_s)
        self._block_bytes = limits.block_bytes
        if limits.bytes_per_s is not None:  # a slow rate must not look like a stall
            within = int(limits.bytes_per_s * limits.part_stall_s / 4)
            self._block_bytes = max(1, min(limits.block_bytes, within))
        self.sent_bytes = 0

    async def send(
        self,
        recording: RecordingMade,
        path: Path,
        upload_id: str,
        begun: Callable[[str], Awaitable[None]],
    ) -> None:
        """Return once the registry says that the recording is stored.

        ``begun`` is told the upload's id, to go on with it later. Raises TransientError (call again),
        ArrivedWrongError (call again without ``upload_id``), RecordingRefusedError.
        """
        granted = await self._grant(recording, upload_id)
        if granted.upload_id != upload_id:
            await begun(granted.upload_id)
        for number, url in sorted(granted.urls.items()):
            start = (number - 1) * granted.part_bytes
            length = min(granted.part_bytes, recording.size_bytes - start)
            await self._put(url, path, start, length)
        kept: RecordingKept = await self._ask(
            KeepRecording(robot_id=self._robot_id, recording=recording, upload_id=granted.upload_id)
        )
        assert kept.recording_id == recording.recording_id

    async def _grant(self, recording: RecordingMade, upload_id: str) -> UploadGranted:
        granted: UploadGranted = await self._ask(
            GrantUpload(robot_id=self._robot_id, recording=recording, upload_id=upload_id)
        )
        return granted

    async def _ask(self, request: Event) -> Any:  # noqa: ANN401 (the Struct that the catalog pairs with this request)
        connection = await self._link.connected()
        try:
            return await ask(connection, request)
        except RefusedError as refusal:
            if refusal.code in _REFUSED_FOR_GOOD:
                raise RecordingRefusedError(f"the registry refused: {refusal}") from refusal
            if refusal.code in _ARRIVED_WRONG:
                raise ArrivedWrongError(f"the registry refused: {refusal}") from refusal
            raise TransientError(f"the registry refused for now: {refusal}") from refusal
        except BusError as problem:
            raise TransientError(str(problem)) from problem

    async def _put(self, url: str, path: Path, start: int, length: int) -> None:
        """Send a part, however long that takes while it moves; raises TransientError."""
        sending = asyncio.ensure_future(self._put_part(url, path, start, length))
        try:
            while not sending.done():
                before = self.sent_bytes
                await asyncio.wait({sending}, timeout=self._limits.part_stall_s)
                if not sending.done() and self.sent_bytes == before:
                    raise TransientError(
                        f"no byte of {path.name} left for {self._limits.part_stall_s:g} s."
                    )
        finally:
            if not sending.done():
                await cancelled({sending})
        sending.result()

    async def _put_part(self, url: str, path: Path, start: int, length: int) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None)  # whether it stalls is seen by what leaves
        try:
            async with self._session.put(
                url,
                data=self._blocks(path, start, length),
                headers={"Content-Length": str(length)},
                timeout=timeout,
            ) as answer:
                if answer.status != _OK:
                    raise TransientError(
                        f"the store refused a part of {path.name} with status {answer.status}."
                    )
        except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
            raise TransientError(f"a part of {path.name} was not sent: {problem!r}.") from problem

    async def _blocks(self, path: Path, start: int, length: int) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            file.seek(start)
            while length > 0 and (block := file.read(min(self._block_bytes, length))):
                await self._throttle.take(len(block))
                self.sent_bytes += len(block)
                length -= len(block)
                yield block
