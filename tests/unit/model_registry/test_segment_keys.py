"""A segment's key tells of it what a list needs, and no key of somebody else's does."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath

import pytest
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId, SegmentId
from fleetward.contracts.segments import TOPICS_TOLD, SegmentKind
from model_registry.segment_keys import (
    MAX_DETAILS_BYTES,
    MAX_NAME_BYTES,
    details_of,
    key_from,
    key_of,
    named_in,
    old_key_of,
    segment_at,
    with_details,
)
from tests.unit.edge_bridge.segments import segment_of

ROBOT = RobotId("arm")
SEALED = datetime(2026, 11, 29, 12, 0, 0, 123_456, tzinfo=timezone.utc)
SEGMENT = replace(
    segment_of(7, b"x", SegmentKind.LOGS),
    sealed_at=SEALED,
    cut_off=True,
    messages=60,
    clock_offset_s=0.25,
    topics={"navigation": 50, "kernel": 10},
)
LARGEST = 2**63 - 1


def test_key_tells_all_but_topics_and_clock_and_details_tell_those() -> None:
    told = segment_at(key_of(ROBOT, SEGMENT), SEGMENT.size_bytes)
    assert told == replace(SEGMENT, topics={}, clock_offset_s=None)
    assert with_details(told, details_of(SEGMENT)) == SEGMENT


def test_what_an_older_robot_does_not_say_is_taken_from_what_it_does() -> None:
    segment = segment_of(3, b"y")
    told = segment_at(key_of(ROBOT, segment), segment.size_bytes)
    assert told == replace(segment, sealed_at=segment.ended_at)


def test_keys_sort_by_when_they_were_sealed() -> None:
    hours = [timedelta(days=-20_000), timedelta(0), timedelta(seconds=1), timedelta(days=90)]
    keys = [key_of(ROBOT, replace(SEGMENT, sealed_at=SEALED + each)) for each in hours]
    assert keys == sorted(keys)
    assert keys[1] < key_from(ROBOT, SegmentKind.LOGS, SEALED + hours[2]) < keys[2]


def test_longest_name_is_one_that_file_systems_take() -> None:
    longest = replace(
        SEGMENT,
        segment_id=SegmentId("a" * 48),
        first_number=LARGEST,
        end_number=0,
        messages=LARGEST,
        started_at=datetime.max.replace(tzinfo=timezone.utc),
        ended_at=datetime.max.replace(tzinfo=timezone.utc),
        sealed_at=datetime.max.replace(tzinfo=timezone.utc),
    )
    assert len(PurePosixPath(key_of(ROBOT, longest)).name) <= MAX_NAME_BYTES


def test_as_many_topics_are_kept_as_there_is_room_for_those_with_the_most_first() -> None:
    topics = {f"/camera/{number}/{'x' * 40}": number + 1 for number in range(TOPICS_TOLD)}
    details = details_of(replace(SEGMENT, topics=topics))
    assert all(len(each) <= MAX_DETAILS_BYTES for each in details.values())
    kept = with_details(replace(SEGMENT, topics={}), details).topics
    assert 10 < len(kept) < TOPICS_TOLD
    assert min(kept.values()) == TOPICS_TOLD + 1 - len(kept)


@pytest.mark.parametrize("details", [{}, {"fleetward-segment": "%"}, {"fleetward-segment": "aGk="}])
def test_details_that_are_not_there_or_of_another_change_nothing(details: dict[str, str]) -> None:
    assert with_details(SEGMENT, details) == SEGMENT
    assert with_details(SEGMENT, details_of(replace(SEGMENT, size_bytes=99))) == SEGMENT


def test_key_of_before_names_its_segment_and_tells_no_more() -> None:
    key = old_key_of(ROBOT, SEGMENT)
    assert segment_at(key, 1) is None
    assert named_in(key) == named_in(key_of(ROBOT, SEGMENT)) == SEGMENT.segment_id
    assert key > key_from(ROBOT, SegmentKind.LOGS, SEALED), "whoever lists some lists those too"


@pytest.mark.parametrize(
    "key",
    [
        "segments/arm/logs/",
        "segments/arm/logs/a.jsonl.zst",
        "segments/arm/other/1.2.3.4.5.6.7.a.b.mcap",
        key_of(ROBOT, SEGMENT).replace("logs-7", "../../x"),
        key_of(ROBOT, SEGMENT).replace(".60.", ".many."),
        key_of(ROBOT, SEGMENT)[:-30] + ".jsonl.zst",
    ],
)
def test_any_other_key_is_no_segment(key: str) -> None:
    assert segment_at(key, 1) is None
