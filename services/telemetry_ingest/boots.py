"""Decides what a batch of frames means for one boot of one robot: which are new, what they close.

Pure: the old record and the frames in, the new record and the outcome out. The record is all
that telemetry-ingest remembers of a boot; it is saved in the same transaction as the segment.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from telemetry_ingest import watermark
from telemetry_ingest.moments import FrameMoments, Moments
from telemetry_ingest.summaries import BootWindows, fold

MAX_INTERVALS = 4096
"""Gaps a boot may have before its frames are refused; a healthy robot has none."""


class BootRecord(Struct, frozen=True, kw_only=True):
    """The stored sequences and the open summaries of one boot."""

    intervals: watermark.Intervals = ()
    windows: BootWindows = BootWindows()

    @property
    def watermark(self) -> int:
        """The last frame before the first gap, 0 for none."""
        return watermark.watermark(self.intervals)


class Absorbed(Struct, frozen=True):
    """``fresh`` sequences are to be stored now; ``refused`` ones would make too many gaps."""

    record: BootRecord
    fresh: frozenset[int]
    refused: frozenset[int]
    closed: tuple[tuple[int, Moments], ...]


def absorb(record: BootRecord, frames: Iterable[FrameMoments]) -> Absorbed:
    """Take in ``frames`` in any order; those stored before, and second copies, change nothing."""
    arrived = {frame.sequence: frame for frame in frames}
    new = {
        sequence: frame
        for sequence, frame in arrived.items()
        if not watermark.contains(record.intervals, sequence)
    }
    intervals = watermark.with_sequences(record.intervals, new)
    if len(intervals) > MAX_INTERVALS:
        return Absorbed(record, frozenset(), frozenset(new), ())
    folded = fold(record.windows, new.values())
    after = BootRecord(intervals=intervals, windows=folded.state)
    return Absorbed(after, frozenset(new), frozenset(), folded.closed)
