"""A summary depends on the frames, not on their order, their copies, or where a restart fell."""

from __future__ import annotations

import itertools
import math
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import (
    MAX_SUMMARY_SIGNALS,
    InferenceSummarized,
    Series,
    SignalMoments,
)
from telemetry_ingest.boots import MAX_INTERVALS, BootRecord, absorb
from telemetry_ingest.columns import columns_of
from telemetry_ingest.moments import FrameMoments, moments_of
from telemetry_ingest.summaries import MAX_HELD_FRAMES, summary_of
from testkit.telemetry import digest_of, frame, frame_of_series, inference_frames

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
A, B = digest_of("a"), digest_of("b")


def frames_of_a_swap() -> list[FrameMoments]:
    """30 frames (7.5 s): model A, then B from frame 18 on."""
    first = inference_frames("r1", "b1", START, A, count=17, error_share=0.2)
    second = inference_frames(
        "r1", "b1", START + timedelta(seconds=4.25), B, count=13, first_sequence=18
    )
    return [moments_of(columns_of(one)) for one in (*first, *second)]


FRAMES = frames_of_a_swap()


def summaries(
    batches: list[list[FrameMoments]], *, restart: bool = False
) -> list[InferenceSummarized]:
    """What is announced when these batches arrive; ``restart``: the record is reloaded each time."""
    record = BootRecord()
    announced: list[InferenceSummarized] = []
    for batch in batches:
        absorbed = absorb(record, batch)
        announced += [summary_of(RobotId("r1"), BootId("b1"), *one) for one in absorbed.closed]
        record = decode(encode(absorbed.record), BootRecord) if restart else absorbed.record
    return announced


IN_ORDER = summaries([FRAMES])

arrivals = st.permutations(FRAMES).flatmap(
    lambda order: st.lists(st.sampled_from(order), max_size=20).map(
        lambda copies: [*order, *copies]
    )
)


@given(arrivals, st.lists(st.integers(0, 50), max_size=6))
def test_any_order_any_copies_any_restarts_give_the_same_summaries(
    order: list[FrameMoments], cuts: list[int]
) -> None:
    bounds = [0, *sorted(cuts), len(order)]
    batches = [order[a:b] for a, b in itertools.pairwise(bounds)]
    assert summaries(batches, restart=True) == IN_ORDER


def test_summaries_hold_the_moments_of_what_was_measured() -> None:
    values = [0.010, 0.030, 0.020]
    measured = frame(
        "r1",
        "b1",
        1,
        START,
        {
            "model.inference.duration": [(0.1 * n, value) for n, value in enumerate(values)],
            "model.inference.errors": [(0.3, 1.0)],
            "model.inference.confidence": [(0.0, 0.5), (0.1, 0.7)],
        },
        {f"model.inference.{name}": {"digest": A} for name in ("duration", "errors", "confidence")},
    )
    later = frame("r1", "b1", 2, START + timedelta(seconds=1), {})
    (summary,) = summaries([[moments_of(columns_of(measured)), moments_of(columns_of(later))]])
    assert (summary.window, summary.digest, summary.started_at) == (1, A, START)
    assert (summary.inferences, summary.errors, summary.confidence_count) == (4, 1, 2)
    assert math.isclose(summary.latency_ms_sum, 60.0)
    assert math.isclose(summary.latency_ms_sum_of_squares, 100.0 + 900.0 + 400.0)
    assert math.isclose(summary.latency_ms_max, 30.0)
    assert math.isclose(summary.confidence_sum, 1.2)
    assert math.isclose(summary.confidence_sum_of_squares, 0.25 + 0.49)


def test_windows_count_up_without_a_gap() -> None:
    assert [one.window for one in IN_ORDER] == list(range(1, len(IN_ORDER) + 1))


def test_a_second_with_two_models_has_a_window_for_each() -> None:
    at_the_swap = [one for one in IN_ORDER if one.started_at == START + timedelta(seconds=4)]
    assert [one.digest for one in at_the_swap] == [A, B]


def test_every_inference_of_a_closed_second_is_counted_once() -> None:
    assert sum(one.inferences for one in IN_ORDER) == 7 * 20


def test_a_stored_frame_that_comes_again_closes_nothing() -> None:
    record = absorb(BootRecord(), FRAMES).record
    again = absorb(record, FRAMES)
    assert (again.record, again.fresh, again.closed) == (record, frozenset(), ())


def test_a_frame_that_never_comes_holds_the_summaries_for_a_bounded_time_only() -> None:
    frames = [
        moments_of(columns_of(one))
        for one in inference_frames("r1", "b1", START, A, count=MAX_HELD_FRAMES + 12)
    ]
    del frames[4]
    assert sum(one.inferences for one in summaries([[one] for one in frames])) > 0
    waiting = summaries([[one] for one in frames[: MAX_HELD_FRAMES + 4]])
    assert sum(one.inferences for one in waiting) <= 20


def test_a_clock_that_steps_back_an_hour_leaves_no_window_open() -> None:
    before = inference_frames("r1", "b1", START, A, count=2)
    after = inference_frames("r1", "b1", START - timedelta(hours=1), A, count=6, first_sequence=3)
    closed = summaries([[moments_of(columns_of(one)) for one in (*before, *after)]])
    assert [one.started_at for one in closed] == [START, START - timedelta(hours=1)]


def test_a_model_that_is_no_digest_belongs_to_no_summary() -> None:
    spoken = frame(
        "r1",
        "b1",
        1,
        START,
        {"model.inference.duration": [(0.0, 0.01)]},
        {"model.inference.duration": {"digest": "latest"}},
    )
    assert moments_of(columns_of(spoken)).windows == ()


def test_a_robot_that_sends_every_other_frame_is_refused_at_the_limit_of_gaps() -> None:
    gapped = absorb(
        BootRecord(), [FrameMoments(sequence=2 * n) for n in range(1, MAX_INTERVALS + 1)]
    )
    assert not gapped.refused
    further = absorb(gapped.record, [FrameMoments(sequence=2 * MAX_INTERVALS + 2)])
    assert further.refused == {2 * MAX_INTERVALS + 2}
    assert further.record == gapped.record


def window_of(
    points: dict[str, list[tuple[float, float]]], attributes: dict[str, dict[str, str]]
) -> list[InferenceSummarized]:
    """The summaries of one second with these points."""
    measured = frame("r1", "b1", 1, START, points, attributes)
    later = frame("r1", "b1", 2, START + timedelta(seconds=1), {})
    return summaries([[moments_of(columns_of(one)) for one in (measured, later)]])


DURATION = "model.inference.duration"


def test_further_signals_of_the_robot_and_of_its_model_ride_along() -> None:
    (summary,) = window_of(
        {
            DURATION: [(0.0, 0.01)],
            "model.output.mean": [(0.0, 3.0), (0.2, 5.0)],
            "hw.temperature": [(0.5, 50.0)],
            "system.uptime": [(0.5, 1e6)],
            "hw.fan": [(0.5, 1.0)],
        },
        {
            DURATION: {"digest": A},
            "model.output.mean": {"digest": A},
            "hw.fan": {"place": "left"},
        },
    )
    assert summary.signals == {
        "hw.temperature": SignalMoments(1, 50.0, 2500.0),
        "model.output.mean": SignalMoments(2, 8.0, 34.0),
    }


def test_in_the_second_of_a_swap_the_robots_own_signals_tell_of_neither_model() -> None:
    series = [Series(signal=DURATION, attributes={"digest": digest}) for digest in (A, B)]
    swap = frame_of_series(
        *("r1", "b1", 1, START, [*series, Series(signal="hw.temperature")]),
        [[(0.0, 0.01)], [(0.5, 0.01)], [(0.2, 50.0)]],
    )
    later = frame("r1", "b1", 2, START + timedelta(seconds=1), {})
    both = summaries([[moments_of(columns_of(one)) for one in (swap, later)]])
    assert [(one.digest, one.signals) for one in both] == [(A, {}), (B, {})]
    assert [one.window for one in both] == [1, 2]


def test_a_robot_without_a_model_makes_no_summaries() -> None:
    assert window_of({"hw.temperature": [(0.0, 50.0)]}, {}) == []


def test_a_summary_carries_a_bounded_number_of_signals_and_fits_its_message() -> None:
    names = [f"{'s' * 125}{number:02}" for number in range(2 * MAX_SUMMARY_SIGNALS)]
    points = {DURATION: [(0.0, 0.01)], **{name: [(0.0, 1e300)] for name in reversed(names)}}
    (summary,) = window_of(points, {DURATION: {"digest": A}})
    assert list(summary.signals) == names[:MAX_SUMMARY_SIGNALS]
    assert len(encode(summary)) <= row_of(InferenceSummarized).size_limit_bytes
    assert all(math.isfinite(one.total_of_squares) for one in summary.signals.values())
