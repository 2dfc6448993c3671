"""Takes segments of what robots record all the time, keeps the newest, says which there are and where they lie.

A robot's key begins with its own id, which the subject it asks on names too. Which there are, the store says:
so no list fills up, none disagrees with it, and no robot takes room in another's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.contracts.ids import RobotId, SegmentId
from fleetward.contracts.recordings import UploadGranted
from fleetward.contracts.segments import (
    MAX_SEGMENT_BYTES,
    GrantSegment,
    KeepSegment,
    LinkSegment,
    ListSegments,
    Segment,
    SegmentArrived,
    SegmentKept,
    SegmentKind,
    SegmentLinked,
    SegmentsListed,
    SegmentStored,
    StoredSegment,
)
from model_registry.errors import SegmentRefusedError, UnknownSegmentError
from model_registry.part_uploads import PartUploads, Whole
from model_registry.recording_objects import RecordingObjects
from model_registry.segment_keys import (
    details_of,
    key_from,
    key_of,
    named_in,
    old_key_of,
    place_of,
    segment_at,
    with_details,
)
from model_registry.segment_room import Countings, SegmentLimits


class Segments:
    """Answers robots that send segments, and people who list and fetch them."""

    def __init__(
        self,
        connection: Client,
        objects: RecordingObjects,
        uploads: PartUploads,
        limits: SegmentLimits,
        countings: Countings,
        now: Callable[[], datetime],
    ) -> None:
        """``limits``: of each kind of one robot, which are looked after whenever ``countings`` says so."""
        self._connection = connection
        self._objects = objects
        self._uploads = uploads
        self._limits = limits
        self._countings = countings
        self._now = now

    async def answer(self) -> None:
        """Answer from now on."""
        await answer(self._connection, GrantSegment, self.grant)
        await answer(self._connection, KeepSegment, self.keep)
        await answer(self._connection, ListSegments, self.list_stored)
        await answer(self._connection, LinkSegment, self.link)

    async def grant(self, request: GrantSegment) -> UploadGranted:
        """Links to what has not arrived; raises SegmentRefusedError."""
        robot_id, segment = request.robot_id, request.segment
        refuse_size(segment)
        place, whole = place_of(robot_id, segment.kind), whole_of(robot_id, segment)
        return await self._uploads.grant(place, whole, request.upload_id)

    async def keep(self, request: KeepSegment) -> SegmentKept:
        """Put the parts together once, and say so again however often it is asked."""
        robot_id, segment = request.robot_id, request.segment
        refuse_size(segment)
        whole = whole_of(robot_id, segment)
        await self._uploads.keep(whole, request.upload_id, request.part_md5s)
        arrived = SegmentArrived(
            robot_id=robot_id,
            kind=segment.kind,
            segment=segment,
            key=whole.key,
            stored_at=self._now(),
        )
        message_id = f"segment-{robot_id}-{segment.segment_id}-{segment.digest}"
        await publish(self._connection, arrived, message_id=message_id)
        await self._keep_within(place_of(robot_id, segment.kind), segment.size_bytes)
        return SegmentKept(robot_id=robot_id, segment_id=segment.segment_id)

    async def list_stored(self, request: ListSegments) -> SegmentsListed:
        """As many as the store lists at once, by what their keys say."""
        robot, place = request.robot_id, place_of(request.robot_id, request.kind)
        begin = key_from(robot, request.kind, request.since) if request.since else ""
        after = request.after_key if request.after_key.startswith(place) else begin
        entries, more = await self._objects.page(place, after)
        told = {entry.key: segment_at(entry.key, entry.size_bytes) for entry in entries}
        before = {} if all(told.values()) else await self._of_before(robot)
        return SegmentsListed(
            segments=tuple(
                StoredSegment(segment=segment, key=entry.key, stored_at=entry.modified_at)
                for entry in entries
                if (segment := told[entry.key] or before.get(entry.key)) is not None
            ),
            next_key=entries[-1].key if more else "",
        )

    async def link(self, request: LinkSegment) -> SegmentLinked:
        """Where a stored segment can be read, and all that is known of it; raises UnknownSegmentError."""
        robot, segment_id = request.robot_id, request.segment_id
        told = request.key.startswith(tuple(place_of(robot, kind) for kind in SegmentKind))
        key = request.key if told else await self._looked_for(robot, segment_id)
        seen = await self._objects.seen(key) if key else None
        if seen is None or named_in(seen.key) != segment_id:
            raise _unknown(robot, segment_id)
        known = segment_at(seen.key, seen.size_bytes)
        segment = with_details(known, seen.told) if known else await self._old(robot, segment_id)
        return SegmentLinked(
            segment=segment,
            url=await self._objects.link(seen.key),
            expires_at=self._uploads.expiry(),
        )

    async def _looked_for(self, robot: RobotId, segment_id: SegmentId) -> str | None:
        """By a name alone a segment has to be looked for among all of the robot's."""
        for kind in SegmentKind:
            async for entry in self._objects.entries(place_of(robot, kind)):
                if named_in(entry.key) == segment_id:
                    return entry.key
        return None

    async def _old(self, robot: RobotId, segment_id: SegmentId) -> Segment:
        value = await last_value(
            self._connection, SegmentStored, robot_id=robot, segment_id=segment_id
        )
        if value is None:
            raise _unknown(robot, segment_id)
        return value.event.segment

    async def _of_before(self, robot: RobotId) -> dict[str, Segment]:
        """What was said of a robot's segments on the bus, by key, before keys told of them."""
        values = await last_values(self._connection, SegmentStored, robot_id=robot)
        return {old_key_of(robot, each.event.segment): each.event.segment for each in values}

    async def _keep_within(self, place: str, size_bytes: int) -> None:
        if self._countings.is_due(place, size_bytes):
            limits = self._limits
            await self._objects.keep_within(place, limits.size_bytes, limits.count)


def whole_of(robot_id: RobotId, segment: Segment) -> Whole:
    """What is to lie in the store, under a name that says what it is."""
    return Whole(
        key=key_of(robot_id, segment),
        digest=segment.digest,
        size_bytes=segment.size_bytes,
        told=details_of(segment),
    )


def refuse_size(segment: Segment) -> None:
    """Raises SegmentRefusedError for a segment that is empty or too large."""
    if not 0 < segment.size_bytes <= MAX_SEGMENT_BYTES:
        raise SegmentRefusedError(
            f"{segment.segment_id} is {segment.size_bytes} bytes; segments have 1 to "
            f"{MAX_SEGMENT_BYTES}. Seal them sooner."
        )


def _unknown(robot: RobotId, segment_id: SegmentId) -> UnknownSegmentError:
    return UnknownSegmentError(
        f"{robot} has no segment {segment_id}. `fleetward robot recordings {robot} --continuous` "
        "lists those that are stored."
    )
