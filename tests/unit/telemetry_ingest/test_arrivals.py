"""Who a frame is from is decided by its subject; a frame that says otherwise settles nothing."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import encode
from fleetward.contracts.telemetry import TelemetryFrame
from telemetry_ingest.arrivals import Refused, read
from telemetry_ingest.store import Arrived
from testkit.telemetry import frame

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FRAME = frame("r1", "b1", 5, START, {"link.rtt": [(0.0, 0.02)]})
SUBJECT = row_of(TelemetryFrame).subject_of(FRAME)


def test_a_good_frame_is_to_be_stored() -> None:
    outcome = read(SUBJECT, encode(FRAME))
    assert isinstance(outcome, Arrived)
    assert outcome.key == ("r1", "b1", 5)
    assert outcome.columns is not None


def test_a_frame_that_speaks_for_another_robot_settles_nothing_of_that_robot() -> None:
    for forged in (FRAME, replace(FRAME, values=b"x")):
        outcome = read(SUBJECT.replace("r1", "r2"), encode(forged))
        assert isinstance(outcome, Refused)
        assert outcome.settled is None


def test_a_broken_frame_with_a_name_is_refused_and_settled() -> None:
    outcome = read(SUBJECT, encode(replace(FRAME, values=b"x")))
    assert isinstance(outcome, Refused)
    assert outcome.settled == Arrived(FRAME.robot_id, FRAME.boot_id, 5)
    assert "multiple of 8" in str(outcome.error)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_without_an_accident(payload: bytes) -> None:
    assert isinstance(read(SUBJECT, payload), Refused)


@given(st.integers(0, 200), st.integers(0, 255))
def test_any_flipped_byte_is_stored_or_refused_without_an_accident(place: int, byte: int) -> None:
    payload = bytearray(encode(FRAME))
    payload[place % len(payload)] = byte
    assert isinstance(read(SUBJECT, bytes(payload)), Arrived | Refused)
