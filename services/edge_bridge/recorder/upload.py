"""Sends a recording to the store in parts: under a byte rate, and on from where it stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_bridge.fetching.throttle import Throttle
from edge_bridge.link import Link
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.shipping.asking import asked
from edge_bridge.shipping.parts import PartSender, parts_of
from edge_bridge.shipping.upstream import Upstream
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


class Uploader:
    """One recording at a time."""

    def __init__(
        self,
        robot_id: RobotId,
        link: Link,
        session: Callable[[], aiohttp.ClientSession],
        upstream: Upstream,
        limits: RecorderLimits,
        throttle: Throttle | None = None,
    ) -> None:
        self._robot_id = robot_id
        self._link = link
        self._parts = PartSender(
            session,
            throttle or Throttle(limits.bytes_per_s),
            upstream,
            stall_s=limits.part_stall_s,
        )

    @property
    def sent_bytes(self) -> int:
        """Of every attempt."""
        return self._parts.sent_bytes

    async def send(
        self,
        recording: RecordingMade,
        path: Path,
        upload_id: str,
        begun: Callable[[str], Awaitable[None]],
    ) -> None:
        """Return once the registry says that the recording is stored.

        ``begun`` is told the upload's id, to go on with it later. Raises TransientError (call again),
        ArrivedWrongError (call again without ``upload_id``), UploadRefusedError, FileNotFoundError.
        """
        granted: UploadGranted = await asked(
            self._link,
            GrantUpload(robot_id=self._robot_id, recording=recording, upload_id=upload_id),
        )
        if granted.upload_id != upload_id:
            await begun(granted.upload_id)
        for part in parts_of(granted.urls, granted.part_bytes, recording.size_bytes):
            await self._parts.send(path, part)
        kept: RecordingKept = await asked(
            self._link,
            KeepRecording(
                robot_id=self._robot_id, recording=recording, upload_id=granted.upload_id
            ),
        )
        assert kept.recording_id == recording.recording_id
