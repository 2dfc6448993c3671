"""Segments of what robots record all the time, and severe records of their logs, as they come."""

from __future__ import annotations

from fleetward.contracts.logs import SevereLogged
from fleetward.contracts.rows import PEOPLE, EventRow, Principal, StreamName
from fleetward.contracts.segments import SegmentArrived, SegmentStored

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=SegmentArrived,
        subject="segment.arrived.v1.{robot_id}.{kind}",
        producers=(_P.REGISTRY,),
        stream=_S.SEGMENTS,
        rate="one per segment that a robot sealed: a few a minute while it records; the newest of a kind is kept",
        size_limit_bytes=16 * 1024,
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
    EventRow(
        event=SegmentStored,
        subject="segment.stored.v1.{robot_id}.{segment_id}",
        producers=(_P.REGISTRY,),
        stream=_S.SEGMENTS,
        rate="none any more; those that are there are read until they are 90 days old",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, *PEOPLE),
        listeners=PEOPLE,
    ),
    EventRow(
        event=SevereLogged,
        subject="robot.severe_logged.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=None,
        rate="at most 2 per robot and second, while its logs have warnings",
        listeners=PEOPLE,
    ),
)
