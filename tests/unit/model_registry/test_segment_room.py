"""Segments are counted before there are many more than may be, and not for a whole fleet at once."""

from __future__ import annotations

import random

from model_registry.segment_room import BYTES_SHARE, COUNT_SHARE, Countings, SegmentLimits

GIB = 1024**3
LIMITS = SegmentLimits(size_bytes=64 * GIB, count=1600)


def test_place_is_counted_by_number_where_segments_are_small() -> None:
    countings = Countings(LIMITS, lambda: 0.0)
    due = [number for number in range(1, 301) if countings.is_due("a", 100)]
    assert due == [100, 200, 300]
    assert COUNT_SHARE * LIMITS.count == 100


def test_place_is_counted_by_bytes_where_they_are_large() -> None:
    countings = Countings(LIMITS, lambda: 0.0)
    assert [countings.is_due("a", GIB // 2) for _ in range(4)] == [False, True, False, True]
    assert BYTES_SHARE * LIMITS.size_bytes == GIB


def test_one_place_says_nothing_of_another() -> None:
    countings = Countings(LIMITS, lambda: 0.0)
    assert not any(countings.is_due(str(robot), GIB // 2) for robot in range(1000))


def test_fleet_is_not_counted_at_once_after_a_start_and_is_counted_all_the_same() -> None:
    chance = random.Random(5)
    countings = Countings(LIMITS, chance.random)
    rounds = [sum(countings.is_due(str(robot), 100) for robot in range(1000)) for _ in range(100)]
    assert sum(rounds) >= 1000
    assert max(rounds) < 40
