"""Segments: the sealed files of what a robot records all the time, sent to the store one by one.

A robot numbers what it shall record, and a segment says which numbers it covers. So whoever reads the
segments in order sees what is missing, and no counter on the robot has to be believed. Which are stored, the
store itself says: nothing else keeps a list of them.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, RobotId, SegmentId

SEGMENTS_PREFIX = "segments/"
MAX_SEGMENT_BYTES = 512 * 1024 * 1024
TOPICS_TOLD = 64
"""A segment tells the messages of so many topics, those with the most."""


class SegmentKind(str, enum.Enum):
    """What a segment holds. Kinds wait, are sent and are kept each for themselves."""

    RECORDING = "recording"
    LOGS = "logs"


SUFFIXES: dict[SegmentKind, str] = {SegmentKind.RECORDING: ".mcap", SegmentKind.LOGS: ".jsonl.zst"}
"""How the name of a kind's file ends."""


class Segment(Struct, frozen=True, kw_only=True):
    """One sealed file: what its bytes are, and which of the robot's messages it covers.

    It covers the numbers from ``first_number`` up to but without ``end_number``, of which ``messages`` are in
    it. ``started_at``, ``ended_at``: of its first and last message by the hub's clock, which is ``clock_offset_s``
    ahead of the robot's; None when the robot could not tell, and the times are the robot's. ``sealed_at``: by
    the same clock, whatever times the messages have; None of robots that do not say it. ``cut_off``: the robot
    died while it was written, and what was whole was sealed afterwards.
    """

    segment_id: SegmentId
    kind: SegmentKind
    digest: Digest
    size_bytes: int
    messages: int
    first_number: int
    end_number: int
    started_at: UtcTime
    ended_at: UtcTime
    topics: dict[str, int] = {}
    clock_offset_s: float | None = None
    cut_off: bool = False
    sealed_at: UtcTime | None = None


def lost_before(segment: Segment, previous: Segment | None) -> int:
    """How many messages are missing in ``segment``, and between it and the one before, if that is known."""
    missing = segment.end_number - segment.first_number - segment.messages
    if previous is None:
        return missing
    return missing + max(0, segment.first_number - previous.end_number)


class StoredSegment(Struct, frozen=True, kw_only=True):
    """A segment in the store, under ``key``; its ``topics`` and clock are told with its link alone."""

    segment: Segment
    key: str
    stored_at: UtcTime


class SegmentArrived(Event, frozen=True, kw_only=True):
    """A robot's segment lies in the store, and its bytes are those that the robot sent."""

    robot_id: RobotId
    kind: SegmentKind
    segment: Segment
    key: str
    stored_at: UtcTime


class SegmentStored(Event, frozen=True, kw_only=True):
    """What registries said of each segment before the store was its own list; none says it any more."""

    robot_id: RobotId
    segment_id: SegmentId
    segment: Segment
    stored_at: UtcTime


class GrantSegment(Event, frozen=True, kw_only=True):
    """A robot asks where to put the parts of a segment; ``upload_id`` is of an upload that it goes on with.

    Answered as ``GrantUpload`` is.
    """

    robot_id: RobotId
    segment: Segment
    upload_id: str = ""


class KeepSegment(Event, frozen=True, kw_only=True):
    """Every part was sent: make it one object, if what arrived is what was sealed.

    ``part_md5s``: of each part in order, in hex. Where the store names the same, nobody reads the bytes again.
    """

    robot_id: RobotId
    segment: Segment
    upload_id: str
    part_md5s: tuple[str, ...] = ()


class SegmentKept(Event, frozen=True, kw_only=True):
    """The segment is stored; the robot may forget it."""

    robot_id: RobotId
    segment_id: SegmentId


class ListSegments(Event, frozen=True, kw_only=True):
    """A person asks which segments of a robot the store has: those that were sealed from ``since`` on.

    ``after_key``: to go on behind an answer that had room for no more.
    """

    robot_id: RobotId
    kind: SegmentKind
    since: UtcTime | None = None
    after_key: str = ""


class SegmentsListed(Event, frozen=True, kw_only=True):
    """As many as one answer has room for, in the order of their keys; ``next_key``: there are more behind it."""

    segments: tuple[StoredSegment, ...] = ()
    next_key: str = ""


class LinkSegment(Event, frozen=True, kw_only=True):
    """A person asks for a segment's bytes; ``key``, when a list told it, saves looking for it."""

    robot_id: RobotId
    segment_id: SegmentId
    key: str = ""


class SegmentLinked(Event, frozen=True, kw_only=True):
    """Where the bytes can be fetched until ``expires_at``, and what they must hash to."""

    segment: Segment
    url: str
    expires_at: UtcTime
