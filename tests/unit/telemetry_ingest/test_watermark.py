"""Whatever order frames come in, and however often, each is stored once."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from telemetry_ingest.watermark import contains, watermark, with_sequences

sequences = st.lists(st.integers(1, 60), max_size=80)


@given(sequences, st.integers(0, 80))
def test_batches_in_any_split_give_the_same_intervals(arrived: list[int], cut: int) -> None:
    at_once = with_sequences((), arrived)
    in_two = with_sequences(with_sequences((), arrived[cut:]), arrived[:cut])
    assert at_once == in_two


@given(sequences)
def test_intervals_hold_exactly_what_arrived(arrived: list[int]) -> None:
    intervals = with_sequences((), arrived)
    assert {n for n in range(62) if contains(intervals, n)} == set(arrived)


@given(sequences)
def test_intervals_are_sorted_disjoint_and_never_adjacent(arrived: list[int]) -> None:
    intervals = with_sequences((), arrived)
    ends = [bound for interval in intervals for bound in interval]
    assert ends == sorted(ends)
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(intervals))


@given(sequences)
def test_watermark_is_the_last_frame_before_the_first_gap(arrived: list[int]) -> None:
    expected = 0
    while expected + 1 in arrived:
        expected += 1
    assert watermark(with_sequences((), arrived)) == expected


def test_a_robot_whose_first_frame_is_missing_may_trim_nothing() -> None:
    assert watermark(with_sequences((), range(2, 1000))) == 0


def test_a_filled_gap_moves_the_watermark_to_the_end_of_the_run() -> None:
    gapped = with_sequences((), [1, 2, 4, 5])
    assert watermark(gapped) == 2
    assert with_sequences(gapped, [3]) == ((1, 5),)
