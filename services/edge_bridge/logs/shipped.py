"""What is told of a segment of logs when it leaves the robot: its numbers, and its times by the hub's clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from edge_bridge.logs.sealing import SealedSegment
from edge_bridge.shipping.fingerprint import Fingerprint
from fleetward.contracts.ids import SegmentId
from fleetward.contracts.segments import Segment, SegmentKind

_NS_PER_S = 1_000_000_000


def segment_of(
    sealed: SealedSegment, bytes_are: Fingerprint, clock_offset_s: float | None
) -> Segment:
    """``clock_offset_s``: the hub's clock minus the robot's; None when the robot cannot tell."""
    offset = timedelta(seconds=clock_offset_s or 0.0)
    return Segment(
        segment_id=SegmentId(sealed.name),
        kind=SegmentKind.LOGS,
        digest=bytes_are.digest,
        size_bytes=bytes_are.size_bytes,
        messages=sealed.records,
        first_number=sealed.first,
        end_number=sealed.end,
        started_at=_utc(sealed.from_ns) + offset,
        ended_at=_utc(sealed.until_ns) + offset,
        topics=sealed.units,
        clock_offset_s=clock_offset_s,
        cut_off=sealed.cut_off,
        sealed_at=datetime.now(timezone.utc) + offset,
    )


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / _NS_PER_S, timezone.utc)
