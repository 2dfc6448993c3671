"""Frames in any order within the lateness, twice, or across boots give the same alerts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerting.arrivals import Arrivals
from fleetward.rules.samples import FrameSamples
from tests.unit.alerting.fleets import feed, fleet, kinds, slow_frame

SECOND_NS = 1_000_000_000
VALUES = st.lists(st.sampled_from([0.02, 0.3]), min_size=1, max_size=40)


def frames_of(values: list[float]) -> list[FrameSamples]:
    return [slow_frame(number, value) for number, value in enumerate(values, 1)]


@given(values=VALUES, data=st.data())
def test_any_order_within_the_lateness_gives_the_same_alerts(
    values: list[float], data: st.DataObject
) -> None:
    ordered = frames_of(values)
    # A frame delayed by at most three others arrives within the lateness of one second.
    delays = data.draw(st.lists(st.integers(0, 3), min_size=len(ordered), max_size=len(ordered)))
    shuffled = [
        ordered[number]
        for _, number in sorted((number + delay, number) for number, delay in enumerate(delays))
    ]
    assert feed(fleet(), shuffled) == feed(fleet(), ordered)


@given(values=VALUES, data=st.data())
def test_copies_change_nothing(values: list[float], data: st.DataObject) -> None:
    ordered = frames_of(values)
    with_copies = []
    for number, arrived in enumerate(ordered):
        with_copies.append(arrived)
        if data.draw(st.booleans()):
            with_copies.append(ordered[data.draw(st.integers(0, number))])
    assert feed(fleet(), with_copies) == feed(fleet(), ordered)


def sequences(ready: list[FrameSamples]) -> list[int]:
    return [one.frame.sequence for one in ready]


def test_frames_in_order_pass_at_once() -> None:
    arrivals = Arrivals(SECOND_NS)
    assert [sequences(arrivals.take(slow_frame(n, 0.1), 0.0)) for n in (1, 2, 3)] == [[1], [2], [3]]


def test_a_gap_is_waited_for_and_filled() -> None:
    arrivals = Arrivals(SECOND_NS)
    arrivals.take(slow_frame(1, 0.1), 0.0)
    assert sequences(arrivals.take(slow_frame(3, 0.1), 0.0)) == []
    assert sequences(arrivals.take(slow_frame(2, 0.1), 0.0)) == [2, 3]


def test_a_gap_that_nobody_fills_ends_with_the_lateness() -> None:
    arrivals = Arrivals(SECOND_NS)
    arrivals.take(slow_frame(1, 0.1), 0.0)
    for number in range(3, 7):
        assert arrivals.take(slow_frame(number, 0.1), 0.0) == []
    assert sequences(arrivals.take(slow_frame(7, 0.1), 0.0)) == [3, 4, 5, 6, 7]
    assert arrivals.take(slow_frame(2, 0.1), 0.0) == []
    assert arrivals.ignored == 1


def test_frames_behind_a_gap_are_judged_even_if_nothing_more_comes() -> None:
    arrivals = Arrivals(SECOND_NS)
    arrivals.take(slow_frame(5, 0.1), 10.0)
    assert arrivals.release(10.9) == []
    assert sequences(arrivals.release(11.0)) == [5]


def test_a_new_boot_counts_from_one_and_the_old_one_is_over() -> None:
    arrivals = Arrivals(SECOND_NS)
    arrivals.take(slow_frame(1, 0.1, boot="b1"), 0.0)
    arrivals.take(slow_frame(3, 0.1, boot="b1"), 0.0)
    ready = arrivals.take(slow_frame(1, 0.1, boot="b2"), 0.0)
    assert [(one.frame.boot_id, one.frame.sequence) for one in ready] == [("b1", 3), ("b2", 1)]
    assert arrivals.take(slow_frame(4, 0.1, boot="b1"), 0.0) == []


def test_the_order_of_two_robots_does_not_matter() -> None:
    one = [slow_frame(n, 0.3, robot="r1") for n in range(1, 10)]
    two = [slow_frame(n, 0.3, robot="r2") for n in range(1, 10)]
    together = kinds(feed(fleet(robots=("r1", "r2")), one + two))
    apart = kinds(feed(fleet(robots=("r1", "r2")), two + one))
    assert sorted(together) == sorted(apart) == ["r1:Slow:1:fired", "r2:Slow:1:fired"]
