"""Which frames of a boot are stored, as disjoint intervals, so that no frame is stored twice.

The watermark is the end of the run that begins at frame 1: a robot may forget every frame up to
it. Whatever order frames come in, and however often, the same set gives the same intervals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Intervals = tuple[tuple[int, int], ...]
"""Closed, sorted, disjoint and never adjacent: ((1, 40), (42, 42))."""

FIRST_SEQUENCE = 1


def contains(intervals: Intervals, sequence: int) -> bool:
    """Whether this frame is stored already: a second copy of it is a duplicate."""
    place = bisect_right(intervals, sequence, key=_start)
    return place > 0 and sequence <= intervals[place - 1][1]


def with_sequences(intervals: Intervals, sequences: Iterable[int]) -> Intervals:
    """The intervals that also hold ``sequences``, in any order and with any repetition."""
    merged: list[tuple[int, int]] = []
    added = ((sequence, sequence) for sequence in sequences)
    for start, end in sorted((*intervals, *added)):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def watermark(intervals: Intervals) -> int:
    """The last frame before the first gap; 0 when frame 1 itself is missing."""
    if not intervals or intervals[0][0] > FIRST_SEQUENCE:
        return 0
    return intervals[0][1]


def _start(interval: tuple[int, int]) -> int:
    return interval[0]
