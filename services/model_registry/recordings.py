"""Takes robots' recordings: links to parts, the whole put together and hashed, then the fact.

A robot's key begins with its own id, which the subject it asks on names too (the server lets nobody
ask on another's). All that is known lies in the store and on the bus, so any replica may go on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.contracts.ids import RecordingId, RobotId
from fleetward.contracts.recordings import (
    MAX_RECORDING_BYTES,
    RECORDINGS_PER_ROBOT,
    RECORDINGS_PREFIX,
    GrantUpload,
    KeepRecording,
    LinkRecording,
    RecordingKept,
    RecordingLinked,
    RecordingMade,
    RecordingStored,
    UploadGranted,
)
from model_registry.errors import RecordingRefusedError, UnknownRecordingError
from model_registry.part_uploads import PartUploads, Whole
from model_registry.recording_objects import RecordingObjects


class Recordings:
    """Answers robots that send recordings, and people who fetch them."""

    def __init__(
        self,
        connection: Client,
        objects: RecordingObjects,
        uploads: PartUploads,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._objects = objects
        self._uploads = uploads
        self._now = now

    async def answer(self) -> None:
        """Answer from now on."""
        await answer(self._connection, GrantUpload, self.grant)
        await answer(self._connection, KeepRecording, self.keep)
        await answer(self._connection, LinkRecording, self.link)

    async def grant(self, request: GrantUpload) -> UploadGranted:
        """Links to what has not arrived of an upload: of a new one, when there is none to go on with."""
        recording = request.recording
        refuse_size(recording)
        return await self._uploads.grant(
            f"{RECORDINGS_PREFIX}{request.robot_id}/",
            whole_of(request.robot_id, recording),
            request.upload_id,
        )

    async def keep(self, request: KeepRecording) -> RecordingKept:
        """Put the parts together once, and say so again however often it is asked."""
        recording = request.recording
        refuse_size(recording)
        await self._uploads.keep(whole_of(request.robot_id, recording), request.upload_id)
        await self._tell(request.robot_id, recording)
        await self._objects.keep_newest(
            f"{RECORDINGS_PREFIX}{request.robot_id}/", RECORDINGS_PER_ROBOT
        )
        return RecordingKept(robot_id=request.robot_id, recording_id=recording.recording_id)

    async def link(self, request: LinkRecording) -> RecordingLinked:
        """Where a stored recording can be read; raises UnknownRecordingError."""
        recording = await self._stored(request.robot_id, request.recording_id)
        return RecordingLinked(
            recording=recording,
            url=await self._objects.link(key_of(request.robot_id, recording)),
            expires_at=self._uploads.expiry(),
        )

    async def _stored(self, robot_id: RobotId, recording_id: RecordingId) -> RecordingMade:
        value = await last_value(
            self._connection, RecordingStored, robot_id=robot_id, recording_id=recording_id
        )
        if value is None:
            raise UnknownRecordingError(
                f"{robot_id} has no recording {recording_id}. "
                f"`fleetward robot recordings {robot_id}` lists those that are stored."
            )
        return value.event.recording

    async def _tell(self, robot_id: RobotId, recording: RecordingMade) -> None:
        stored = RecordingStored(
            robot_id=robot_id,
            recording_id=recording.recording_id,
            recording=recording,
            stored_at=self._now(),
        )
        await publish(
            self._connection,
            stored,
            message_id=f"recording-{robot_id}-{recording.recording_id}-{recording.digest}",
        )


def key_of(robot_id: RobotId, recording: RecordingMade) -> str:
    """Where a recording lies: the robot's own place, and a name that says what the bytes are."""
    digest = recording.digest.removeprefix("sha256:")
    return f"{RECORDINGS_PREFIX}{robot_id}/{recording.recording_id}-{digest}.mcap"


def whole_of(robot_id: RobotId, recording: RecordingMade) -> Whole:
    """What is to lie in the store."""
    key = key_of(robot_id, recording)
    return Whole(key=key, digest=recording.digest, size_bytes=recording.size_bytes)


def refuse_size(recording: RecordingMade) -> None:
    """Raises RecordingRefusedError for a recording that is empty or too large."""
    if not 0 < recording.size_bytes <= MAX_RECORDING_BYTES:
        raise RecordingRefusedError(
            f"{recording.recording_id} is {recording.size_bytes} bytes; recordings have 1 to "
            f"{MAX_RECORDING_BYTES}. Ask for fewer seconds or fewer frames."
        )
