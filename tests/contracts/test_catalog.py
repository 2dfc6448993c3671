"""What the catalog promises about itself."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from msgspec.structs import fields

from fleetward.contracts.catalog import (
    CONSUMERS,
    EVENTS,
    REQUESTS,
    STREAMS,
    consumers_of,
    copied_to,
    events_in,
    request_row_of,
    row_of,
    row_of_subject,
)
from fleetward.contracts.errors import UnknownEventError
from fleetward.contracts.event import Event
from fleetward.contracts.rows import MIB, PLACEHOLDER, EventRow, Principal

SUBJECT = re.compile(r"[a-z]+\.[a-z_]+\.v[0-9]+(\.\{[a-z_]+\})*")
LARGEST_MESSAGE = 8 * MIB
"""nats-server's max_payload in every deployment."""


@pytest.mark.parametrize("row", EVENTS, ids=lambda row: row.event.__name__)
class TestEveryEvent:
    """Holds for each row."""

    def test_subject_is_a_kind_a_version_and_fields_of_the_event(self, row: EventRow) -> None:
        assert SUBJECT.fullmatch(row.subject)
        names = {field.name for field in fields(row.event)}
        assert set(PLACEHOLDER.findall(row.subject)) <= names

    def test_its_row_is_found_by_struct_and_by_subject(self, row: EventRow) -> None:
        assert row_of(row.event) is row
        assert row_of_subject(row.pattern.replace("*", "anything")) is row

    def test_somebody_produces_it_and_somebody_takes_it(self, row: EventRow) -> None:
        taken = any(row.event in consumer.events for consumer in CONSUMERS)
        assert row.producers
        assert row.readers or row.listeners or taken

    def test_it_is_documented_and_bounded(self, row: EventRow) -> None:
        assert row.rate
        assert (row.event.__doc__ or "").strip()
        assert 0 < row.size_limit_bytes <= LARGEST_MESSAGE

    def test_it_can_be_read_by_last_value_only_where_it_is_kept(self, row: EventRow) -> None:
        assert row.stream is not None or not row.readers

    def test_robots_touch_only_subjects_that_name_themselves(self, row: EventRow) -> None:
        placeholders = PLACEHOLDER.findall(row.subject)
        if Principal.ROBOT in row.producers:
            assert placeholders == ["robot_id"]
        if Principal.ROBOT in (*row.readers, *row.listeners):
            assert placeholders in ([], ["robot_id"])


def test_no_subject_struct_stream_or_consumer_stands_twice() -> None:
    for names in (
        [row.subject for row in EVENTS] + [row.subject for row in REQUESTS],
        [row.event for row in EVENTS],
        [row.name for row in STREAMS],
        [row.durable for row in CONSUMERS],
    ):
        assert not [name for name, times in Counter(names).items() if times > 1]


def test_every_stream_keeps_something_and_every_event_names_a_stream_that_exists() -> None:
    for row in STREAMS:
        assert bool(copied_to(row.name)) is (row.copies_from is not None)
        assert bool(events_in(row.name)) is (row.copies_from is None)
    assert {row.stream for row in EVENTS} - {None} <= {row.name for row in STREAMS}


def test_streams_that_take_batches_acknowledge_after_fsync() -> None:
    assert not [row.name for row in STREAMS if row.atomic and row.persist_async]


def test_consumers_take_events_of_their_own_stream_and_services_only() -> None:
    people_and_robots = {Principal.OPERATOR, Principal.APPLICATION, Principal.ROBOT}
    for consumer in CONSUMERS:
        assert {row_of(event).stream for event in consumer.events} == {consumer.stream}
        assert consumer.principal not in people_and_robots
        assert consumer in consumers_of(consumer.principal)


def test_requests_are_found_by_their_struct() -> None:
    for row in REQUESTS:
        assert request_row_of(row.request) is row
        assert row.timeout_s > 0


def test_struct_or_subject_without_a_row_is_an_error_that_says_so() -> None:
    class Unlisted(Event, frozen=True, kw_only=True):
        """Nowhere in the catalog."""

    with pytest.raises(UnknownEventError, match="Unlisted has no row in EVENTS"):
        row_of(Unlisted)
    with pytest.raises(UnknownEventError, match="Unlisted has no row in REQUESTS"):
        request_row_of(Unlisted)
    with pytest.raises(UnknownEventError, match="is not one of ours"):
        row_of_subject("weather.changed.v1.berlin")
