"""systemd's journal as journalctl tells it: entries become records, and each is taken once."""

from __future__ import annotations

import json
import select
import stat
from pathlib import Path

import pytest

from edge_bridge.logs.journal import Follower, entry_of
from edge_bridge.logs.limits import LogSettings
from fleetward.logs.record import LogRecord, Resource, Severity

NOW_NS = 1_795_953_600_000_000_000
JOURNAL = LogSettings(enabled=True, journal=("all",))


def entry(message: object, **fields: object) -> bytes:
    """As ``journalctl -o json`` writes it."""
    return json.dumps(
        {
            "__CURSOR": "s=1;i=2",
            "__REALTIME_TIMESTAMP": "1795953599500000",
            "_SYSTEMD_UNIT": "nav.service",
            "_PID": "42",
            "PRIORITY": "3",
            "MESSAGE": message,
            **fields,
        }
    ).encode()


def taken(line: bytes) -> LogRecord:
    found = entry_of(line, "", NOW_NS)
    assert found is not None
    assert found.cursor == "s=1;i=2"
    return found.record


def test_entry_has_its_unit_process_time_and_priority() -> None:
    assert taken(entry("no way")) == LogRecord(
        timestamp=1_795_953_599_500_000_000,
        observed_timestamp=NOW_NS,
        severity_number=Severity.ERROR,
        severity_text="error",
        body="no way",
        resource=Resource(service_name="nav.service", pid=42),
    )


def test_message_says_more_than_its_entry() -> None:
    record = taken(entry('{"level":"debug","msg":"deep","password":"s3cr3t"}'))
    assert (record.body, record.severity_number) == ("deep", Severity.DEBUG)
    assert "s3cr3t" not in str(record.attributes)


@pytest.mark.parametrize(
    ("message", "body"), [([99, 97, 102, 233], "caf�"), (None, ""), ([1, "x"], "")]
)
def test_messages_that_are_no_text(message: object, body: str) -> None:
    assert taken(entry(message)).body == body


@pytest.mark.parametrize("line", [b"", b"-- No entries --", b"[]", b'{"a'])
def test_what_is_no_entry_is_left_out(line: bytes) -> None:
    assert entry_of(line, "", NOW_NS) is None


def test_own_service_is_left_out_for_its_lines_are_here_already() -> None:
    assert entry_of(entry("x"), "nav.service", NOW_NS) is None


def program(directory: Path, script: str) -> str:
    """Stands in for journalctl, which needs a journal."""
    path = directory / "journalctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_journal_is_followed_behind_the_last_entry_and_again_when_it_ends(tmp_path: Path) -> None:
    lines = (entry("one") + b"\n" + entry("two", __CURSOR="s=1;i=3") + b"\n").decode()
    (tmp_path / "lines").write_text(lines)
    script = f'echo "$@" >> {tmp_path}/asked; cat {tmp_path}/lines'
    follower = Follower(JOURNAL, "", program(tmp_path, script))
    bodies: list[str] = []
    for turn in range(2):
        descriptor = follower.start(100.0 * turn)
        assert descriptor is not None
        while True:
            select.select([descriptor], [], [], 10.0)
            records = follower.read(100.0 * turn, NOW_NS)
            if records is None:
                break
            bodies += [record.body for record in records]
        follower.stop()
        assert follower.start(100.0 * turn) is None, "it is not started again at once"
    assert bodies == ["one", "two"] * 2
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert "--since=-10min" in first
    assert "--after-cursor=s=1;i=3" in second


def test_robot_without_a_journal_says_so(tmp_path: Path) -> None:
    follower = Follower(JOURNAL, "", str(tmp_path / "none"))
    with pytest.raises(OSError, match="No such file"):
        follower.start(1.0)
    assert follower.start(1.0) is None
