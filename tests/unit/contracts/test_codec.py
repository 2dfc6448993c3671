"""Facts to bytes and back, between yesterday's and tomorrow's programs."""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleetward.contracts.alerts import AlertFired, AlertResolved
from fleetward.contracts.catalog import EVENTS
from fleetward.contracts.codec import (
    MessageTooLargeError,
    UnreadableMessageError,
    decode,
    encode,
    encode_within,
)
from fleetward.contracts.event import Event
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.contracts.robots import RobotNudged

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
RESOLVED = AlertResolved(
    robot_id=RobotId("r1"), alert=AlertName("Silent"), incident=1, resolved_at=NOW
)


def test_fact_comes_back_as_it_was() -> None:
    assert decode(encode(RESOLVED), AlertResolved) == RESOLVED


@pytest.mark.parametrize("event", [row.event for row in EVENTS], ids=lambda event: event.__name__)
@given(noise=some.binary(max_size=200))
def test_noise_is_unreadable_and_never_another_error(event: type[Event], noise: bytes) -> None:
    try:
        decode(noise, event)
    except UnreadableMessageError as error:
        assert event.__name__ in str(error)  # noqa: PT017 (noise may also be a good message)


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        encode(RESOLVED)[:-1],
        encode(RESOLVED) + b"\x00",
        b"\x91" * 100_000,
        msgspec.msgpack.encode({"robot_id": "r1"}),
        b"\x81\xa8robot_id\xa2\xff\xfe",
    ],
    ids=["empty", "cut off", "trailing", "deeply nested", "fields missing", "not UTF-8"],
)
def test_poison_is_unreadable(poison: bytes) -> None:
    with pytest.raises(UnreadableMessageError, match="are not a AlertResolved"):
        decode(poison, AlertResolved)


def test_yesterdays_reader_ignores_tomorrows_field() -> None:
    tomorrow = msgspec.msgpack.encode({"robot_id": "r1", "urgency": "high"})
    assert decode(tomorrow, RobotNudged) == RobotNudged(robot_id=RobotId("r1"))


def test_time_without_a_zone_is_unreadable() -> None:
    fired = {**msgspec.to_builtins(RESOLVED), "resolved_at": "2026-01-01T00:00:00"}
    with pytest.raises(UnreadableMessageError):
        decode(msgspec.msgpack.encode(fired), AlertResolved)


def test_fact_past_its_limit_is_refused_with_both_sizes() -> None:
    payload = encode(RESOLVED)
    assert encode_within(RESOLVED, len(payload)) == payload
    with pytest.raises(MessageTooLargeError, match=f"{len(payload)} bytes, its limit is 10"):
        encode_within(RESOLVED, 10)


def test_empty_defaults_are_not_shared_between_facts() -> None:
    first, second = (decode(encode(_fired(value)), AlertFired) for value in (1.0, 2.0))
    assert first.labels is not second.labels


def _fired(value: float) -> AlertFired:
    return AlertFired(
        robot_id=RobotId("r1"),
        alert=AlertName("Silent"),
        incident=1,
        severity="critical",  # type: ignore[arg-type]  # as it stands on the wire
        value=value,
        expression="up == 0",
        pending_since=NOW,
        fired_at=NOW,
    )
