"""Segments of what robots record all the time, in the stream SEGMENTS."""

from __future__ import annotations

from fleetward.contracts.rows import PEOPLE, EventRow, Principal, StreamName
from fleetward.contracts.segments import SegmentStored

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=SegmentStored,
        subject="segment.stored.v1.{robot_id}.{segment_id}",
        producers=(_P.REGISTRY,),
        stream=_S.SEGMENTS,
        rate="one per segment that a robot sealed: a few a minute while it records",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, *PEOPLE),
        listeners=PEOPLE,
    ),
)
