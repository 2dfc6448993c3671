"""What a segment's place in the store tells of it: the store's own listing is the list of segments.

    segments/<robot>/<kind>/<sealed>.<first>.<covered>.<messages>.<started>.<ended>.<cut off>.<id>.<sha256><suffix>

Times are microseconds since 1970, ``sealed`` with leading zeros: places of one kind sort by when they were
sealed. What has no room in a name is kept with the object. Names of before begin with the segment's id.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath

import msgspec
from msgspec.structs import replace

from fleetward.contracts.errors import InvalidIdError
from fleetward.contracts.ids import RobotId, SegmentId, digest, segment_id
from fleetward.contracts.segments import SEGMENTS_PREFIX, SUFFIXES, Segment, SegmentKind

MAX_NAME_BYTES = 255
"""Of a part of a key: stores that keep objects as files take no more."""
DETAILS = "fleetward-segment"
MAX_DETAILS_BYTES = 1536
"""S3 keeps 2 KiB of what is said of an object, names and all."""
_FIELDS = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_ALGORITHM = "sha256:"


def place_of(robot: RobotId, kind: SegmentKind) -> str:
    """What the keys of one kind of one robot begin with."""
    return f"{SEGMENTS_PREFIX}{robot}/{kind.value}/"


def key_of(robot: RobotId, segment: Segment) -> str:
    """Where a segment lies; the same at every asking."""
    sealed_at = segment.sealed_at or segment.ended_at
    fields = (
        f"{max(0, _microseconds(sealed_at)):016d}",
        segment.first_number,
        segment.end_number - segment.first_number,
        segment.messages,
        _microseconds(segment.started_at),
        _microseconds(segment.ended_at),
        int(segment.cut_off),
        segment.segment_id,
        segment.digest.removeprefix(_ALGORITHM),
    )
    name = ".".join(map(str, fields)) + SUFFIXES[segment.kind]
    return place_of(robot, segment.kind) + name


def old_key_of(robot: RobotId, segment: Segment) -> str:
    """Where it lies, if it came before keys told of segments."""
    file = segment.digest.removeprefix(_ALGORITHM)
    return f"{place_of(robot, segment.kind)}{segment.segment_id}-{file}{SUFFIXES[segment.kind]}"


def key_from(robot: RobotId, kind: SegmentKind, since: datetime) -> str:
    """Behind it lie those that were sealed from then on, and those with names of before."""
    return f"{place_of(robot, kind)}{max(0, _microseconds(since)):016d}"


def segment_at(key: str, size_bytes: int) -> Segment | None:
    """What a key tells of its segment: all but ``topics`` and ``clock_offset_s``; None for any other key."""
    place, name = PurePosixPath(key).parent, PurePosixPath(key).name
    kind = next((each for each in SegmentKind if place.name == each.value), None)
    if kind is None or not name.endswith(SUFFIXES[kind]):
        return None
    fields = name.removesuffix(SUFFIXES[kind]).split(".")
    if len(fields) != _FIELDS:
        return None
    try:
        sealed, first, covered, messages, started, ended, cut_off = map(int, fields[:7])
        return Segment(
            segment_id=segment_id(fields[7]),
            kind=kind,
            digest=digest(f"{_ALGORITHM}{fields[8]}"),
            size_bytes=size_bytes,
            messages=messages,
            first_number=first,
            end_number=first + covered,
            started_at=_at(started),
            ended_at=_at(ended),
            cut_off=bool(cut_off),
            sealed_at=_at(sealed),
        )
    except (InvalidIdError, ValueError, OverflowError):
        return None


def named_in(key: str) -> SegmentId | None:
    """Whose segment a key is, of before or of now, when it is one."""
    segment = segment_at(key, 0)
    if segment is not None:
        return segment.segment_id
    stem = PurePosixPath(key).name.partition(".")[0]
    return SegmentId(stem.rpartition("-")[0]) or None


def details_of(segment: Segment) -> dict[str, str]:
    """What is kept with the object: the whole, with as many topics as there is room for."""
    topics = Counter(segment.topics).most_common()
    while True:
        told = _told(replace(segment, topics=dict(topics)))
        if len(told) <= MAX_DETAILS_BYTES or not topics:
            return {DETAILS: told}
        topics = topics[: len(topics) * 3 // 4]


def with_details(segment: Segment, details: Mapping[str, str]) -> Segment:
    """``segment`` as it was told when it was sent, where the store still says so."""
    try:
        packed = base64.b64decode(details.get(DETAILS, ""), validate=True)
        told = msgspec.msgpack.decode(packed, type=Segment)
    except (ValueError, msgspec.MsgspecError):
        return segment
    same = (told.segment_id, told.digest, told.size_bytes)
    return told if same == (segment.segment_id, segment.digest, segment.size_bytes) else segment


def _told(segment: Segment) -> str:
    return base64.b64encode(msgspec.msgpack.encode(segment)).decode("ascii")


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _at(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
