"""How much moves at once: about what a link carries in the time that it may hold up the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bridge.fetching.limits import FetchLimits, RangeLimits
from edge_bridge.pace import Pace, PaceLimits
from edge_bridge.uplink import UplinkLimits

LIMITS = PaceLimits(portion_s=2.0, first_bytes=64_000, least_bytes=4_000, most_bytes=8_000_000)
PORTIONS = 12


def after(pace: Pace, bytes_per_s: float, latency_s: float = 0.0) -> int:
    """The portion after some that a link of this rate carried."""
    for _ in range(PORTIONS):
        portion = pace.portion_bytes
        pace.moved(portion, latency_s + portion / bytes_per_s)
    return pace.portion_bytes


@pytest.mark.parametrize("bytes_per_s", [8_000, 125_000, 1_250_000])
def test_a_portion_takes_as_long_as_it_may_at_whatever_rate(bytes_per_s: int) -> None:
    portion = after(Pace(LIMITS), bytes_per_s)
    assert LIMITS.portion_s / 4 <= portion / bytes_per_s <= LIMITS.portion_s


def test_a_fast_link_gets_as_much_as_ever_and_a_dead_one_no_less_than_the_least() -> None:
    assert after(Pace(LIMITS), 1e9) == LIMITS.most_bytes
    assert after(Pace(LIMITS), 10) == LIMITS.least_bytes


def test_a_long_way_alone_makes_no_link_slow() -> None:
    assert after(Pace(LIMITS), 1e9, latency_s=0.6) > 100 * LIMITS.first_bytes


def test_a_link_that_gets_slow_is_known_at_once_and_one_that_gets_fast_soon() -> None:
    pace = Pace(LIMITS)
    after(pace, 1e9)
    pace.moved(pace.portion_bytes, pace.portion_bytes / 8_000)
    assert pace.portion_bytes == 16_000
    assert after(pace, 1e9) == LIMITS.most_bytes


def test_little_that_moved_quickly_says_nothing_of_the_link() -> None:
    pace = Pace(LIMITS)
    after(pace, 1e9)
    pace.moved(100, 0.5)
    assert pace.portion_bytes == LIMITS.most_bytes


def test_a_portion_is_overdue_only_where_a_smaller_one_would_help() -> None:
    pace = Pace(LIMITS)
    assert not pace.is_overdue(4 * LIMITS.portion_s)
    assert pace.is_overdue(4 * LIMITS.portion_s + 0.1)
    after(pace, 10)
    assert not pace.is_overdue(1e6)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1e6)), max_size=30))
def test_a_portion_stays_within_its_bounds(moves: list[tuple[int, float]]) -> None:
    pace = Pace(LIMITS)
    for length, seconds in moves:
        pace.moved(length, seconds)
        assert LIMITS.least_bytes <= pace.portion_bytes <= LIMITS.most_bytes


def test_bounds_are_in_order_also_where_ranges_are_small() -> None:
    small = FetchLimits(ranges=RangeLimits(range_bytes=1_000)).pace
    for limits in (FetchLimits().pace, small, UplinkLimits().pace):
        assert limits.least_bytes <= limits.first_bytes <= limits.most_bytes
