"""Segments of a robot, made up: as many messages as they cover numbers, and a byte for each."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

from fleetward.contracts.ids import Digest, SegmentId
from fleetward.contracts.segments import Segment, SegmentKind

BEGAN = datetime(2026, 11, 29, tzinfo=timezone.utc)
MESSAGES = 100


def segment_of(number: int, content: bytes, kind: SegmentKind = SegmentKind.RECORDING) -> Segment:
    """The one with number ``number``, of ``MESSAGES`` messages."""
    return Segment(
        segment_id=SegmentId(f"{kind.value}-{number}"),
        kind=kind,
        digest=Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"),
        size_bytes=len(content),
        messages=MESSAGES,
        first_number=number * MESSAGES,
        end_number=(number + 1) * MESSAGES,
        started_at=BEGAN + timedelta(seconds=number),
        ended_at=BEGAN + timedelta(seconds=number + 1),
    )


def sealed_file(directory: Path, number: int, size_bytes: int = 1000) -> tuple[Path, Segment]:
    """A file with its own bytes, and what it is."""
    content = bytes([number % 256]) * size_bytes
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{number}.open"
    path.write_bytes(content)
    return path, segment_of(number, content)
