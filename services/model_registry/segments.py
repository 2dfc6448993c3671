"""Takes segments of what robots record all the time, keeps the newest, and says where they lie.

A robot's key begins with its own id, which the subject it asks on names too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.contracts.ids import RobotId, SegmentId
from fleetward.contracts.recordings import UploadGranted
from fleetward.contracts.segments import (
    MAX_SEGMENT_BYTES,
    SEGMENTS_PREFIX,
    SUFFIXES,
    GrantSegment,
    KeepSegment,
    LinkSegment,
    Segment,
    SegmentKept,
    SegmentLinked,
    SegmentStored,
)
from model_registry.errors import SegmentRefusedError, UnknownSegmentError
from model_registry.part_uploads import PartUploads, Whole
from model_registry.recording_objects import RecordingObjects

PRUNE_SHARE = 1 / 64
"""Of what a robot may take: so much it sends before its old segments are looked for, which lists them all."""


class Segments:
    """Answers robots that send segments, and people who fetch them."""

    def __init__(
        self,
        connection: Client,
        objects: RecordingObjects,
        uploads: PartUploads,
        limit_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        """``limit_bytes``: what each kind of one robot may take of the store."""
        self._connection = connection
        self._objects = objects
        self._uploads = uploads
        self._limit_bytes = limit_bytes
        self._now = now
        self._kept_bytes: dict[str, int] = {}
        """By place, since its old segments were looked for."""

    async def answer(self) -> None:
        """Answer from now on."""
        await answer(self._connection, GrantSegment, self.grant)
        await answer(self._connection, KeepSegment, self.keep)
        await answer(self._connection, LinkSegment, self.link)

    async def grant(self, request: GrantSegment) -> UploadGranted:
        """Links to what has not arrived; raises SegmentRefusedError."""
        robot_id, segment = request.robot_id, request.segment
        refuse_size(segment)
        prefix, whole = prefix_of(robot_id, segment), whole_of(robot_id, segment)
        return await self._uploads.grant(prefix, whole, request.upload_id)

    async def keep(self, request: KeepSegment) -> SegmentKept:
        """Put the parts together once, and say so again however often it is asked."""
        robot_id, segment = request.robot_id, request.segment
        refuse_size(segment)
        whole = whole_of(robot_id, segment)
        await self._uploads.keep(whole, request.upload_id, request.part_md5s)
        stored = SegmentStored(
            robot_id=robot_id,
            segment_id=segment.segment_id,
            segment=segment,
            stored_at=self._now(),
        )
        message_id = f"segment-{robot_id}-{segment.segment_id}-{segment.digest}"
        await publish(self._connection, stored, message_id=message_id)
        await self._prune(prefix_of(robot_id, segment), segment.size_bytes)
        return SegmentKept(robot_id=robot_id, segment_id=segment.segment_id)

    async def link(self, request: LinkSegment) -> SegmentLinked:
        """Where a stored segment can be read; raises UnknownSegmentError."""
        segment = await self._stored(request.robot_id, request.segment_id)
        return SegmentLinked(
            segment=segment,
            url=await self._objects.link(whole_of(request.robot_id, segment).key),
            expires_at=self._uploads.expiry(),
        )

    async def _stored(self, robot_id: RobotId, segment_id: SegmentId) -> Segment:
        value = await last_value(
            self._connection, SegmentStored, robot_id=robot_id, segment_id=segment_id
        )
        if value is None:
            raise UnknownSegmentError(
                f"{robot_id} has no segment {segment_id}. "
                f"`fleetward robot recordings {robot_id}` lists those that are stored."
            )
        return value.event.segment

    async def _prune(self, prefix: str, kept_bytes: int) -> None:
        """At the first segment that this process sees of a place, and then by what comes."""
        kept_bytes += self._kept_bytes.get(prefix, self._limit_bytes)
        self._kept_bytes[prefix] = kept_bytes
        if kept_bytes < self._limit_bytes * PRUNE_SHARE:
            return
        self._kept_bytes[prefix] = 0
        await self._objects.keep_within(prefix, self._limit_bytes)


def prefix_of(robot_id: RobotId, segment: Segment) -> str:
    """The place of one kind of one robot."""
    return f"{SEGMENTS_PREFIX}{robot_id}/{segment.kind.value}/"


def whole_of(robot_id: RobotId, segment: Segment) -> Whole:
    """What is to lie in the store, under a name that says what the bytes are."""
    digest = segment.digest.removeprefix("sha256:")
    name = f"{segment.segment_id}-{digest}{SUFFIXES[segment.kind]}"
    key = f"{prefix_of(robot_id, segment)}{name}"
    return Whole(key=key, digest=segment.digest, size_bytes=segment.size_bytes)


def refuse_size(segment: Segment) -> None:
    """Raises SegmentRefusedError for a segment that is empty or too large."""
    if not 0 < segment.size_bytes <= MAX_SEGMENT_BYTES:
        raise SegmentRefusedError(
            f"{segment.segment_id} is {segment.size_bytes} bytes; segments have 1 to "
            f"{MAX_SEGMENT_BYTES}. Seal them sooner."
        )
