"""History is kept up to its limits, oldest out first, and small segments are merged by size."""

from __future__ import annotations

from telemetry_ingest.retention import expired, to_merge
from telemetry_ingest.segments import Segment

DAY_NS = 86_400 * 10**9


def segment(name: str, stored_day: float, *, samples: int = 100, size_bytes: int = 1000) -> Segment:
    return Segment(
        name=name,
        start_ns=0,
        end_ns=1,
        stored_at_ns=int(stored_day * DAY_NS),
        samples=samples,
        size_bytes=size_bytes,
        robots=("r1",),
        signals=("link.rtt",),
    )


def test_only_segments_stored_before_the_limit_expire_whatever_their_samples_say() -> None:
    history = [segment("a", 1), segment("b", 9.5), segment("c", 19)]
    assert [one.name for one in expired(history, 20 * DAY_NS, 11 * 86_400, 10**9)] == ["a"]


def test_the_oldest_segments_make_room_when_there_are_too_many_bytes() -> None:
    history = [segment(name, day) for day, name in enumerate("abcd", start=17)]
    assert [one.name for one in expired(history, 20 * DAY_NS, 30 * 86_400, 2500)] == ["a", "b"]


def test_nothing_expires_within_both_limits() -> None:
    assert expired([segment("a", 19)], 20 * DAY_NS, 30 * 86_400, 10**9) == []


def test_segments_of_like_size_are_merged_once_there_are_enough() -> None:
    small = [segment(f"s{n}", n) for n in range(4)]
    large = [segment("l", 5, samples=1_000_000)]
    assert to_merge([*small, *large], 4, 10**6) == small
    assert to_merge([*small[:3], *large], 4, 10**6) == []


def test_a_merge_never_exceeds_its_samples() -> None:
    assert to_merge([segment(f"s{n}", n) for n in range(4)], 4, 399) == []
