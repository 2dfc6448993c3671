"""A robot's log on a person's terminal: readable, and never in command of it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from fleetward.cli.robot_logs import harmless, line_of
from fleetward.client.logs import Shown
from fleetward.logs.choosing import Found
from fleetward.logs.record import LogRecord, Resource

AT = datetime(2026, 11, 29, 12, 0, 0, 250_000, tzinfo=timezone.utc)


def shown(record: LogRecord) -> str:
    return line_of(Shown(at=AT, found=Found(number=1, record=record, line=b"")))


def test_record_is_a_line_with_its_fields() -> None:
    record = LogRecord(
        timestamp=0,
        severity_number=14,
        body="plan.late",
        resource=Resource(service_name="nav"),
        attributes={"late_ms": 12, "why": "a crowd", "pose": [1.0, 2.0]},
    )
    assert shown(record) == (
        "2026-11-29 12:00:00.250 WARN  nav: plan.late late_ms=12 why=a crowd pose=[1.0,2.0]"
    )


def test_lines_of_a_traceback_stay_lines() -> None:
    record = LogRecord(
        timestamp=0,
        body="failed",
        resource=Resource(service_name="nav"),
        attributes={"exception.stacktrace": "Traceback\n  File"},
    )
    assert shown(record) == (
        "2026-11-29 12:00:00.250       nav: failed exception.stacktrace=\n    Traceback\n      File"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("one\rtwo", "one\\rtwo"),
        ("\u202eright to left", "\\u202eright to left"),
        ("grün ✓", "grün ✓"),
        ("a\tb", "a    b"),
    ],
)
def test_what_prints_nothing_is_written_out(text: str, expected: str) -> None:
    assert harmless(text) == expected
