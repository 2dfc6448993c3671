"""systemd's journal: ``journalctl`` tells its entries as JSON, from where we stopped, and is started again.

What its fields mean: systemd.journal-fields(7), and "Journal JSON Format" of systemd's documentation.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from edge_bridge.logs.assembling import LineStream
from edge_bridge.logs.instants import instant_ns
from edge_bridge.logs.limits import EVERY_UNIT, LogSettings
from edge_bridge.logs.parsing import UNIT_CHARACTERS, record_of
from edge_bridge.logs.programs import piped
from fleetward.bus.backoff import pause_s
from fleetward.logs.record import SYSLOG, LogRecord, Resource, Severity

PROGRAM = "journalctl"
_BACKLOG = "--since=-10min"
"""Of the past, when there is no cursor yet. A number of lines instead would lose those that come while an
empty journal is opened (systemd 252)."""
_OWN_CGROUP = Path("/proc/self/cgroup")
_DECODER = msgspec.json.Decoder(dict[str, Any])


class JournalEntry(msgspec.Struct, frozen=True):
    """A record, and the place to go on behind it."""

    record: LogRecord
    cursor: str


def command(limits: LogSettings, cursor: str, program: str = PROGRAM) -> list[str]:
    """What to run."""
    units = () if EVERY_UNIT in limits.journal else limits.journal
    return [
        program,
        "--follow",
        "--output=json",
        "--no-pager",
        "--quiet",
        "--no-tail",
        f"--after-cursor={cursor}" if cursor else _BACKLOG,
        *(f"--unit={unit}" for unit in units),
    ]


class Follower:
    """One journalctl after the other. ``cursor``: behind the last entry that was taken."""

    def __init__(self, limits: LogSettings, cursor: str, program: str = PROGRAM) -> None:
        self.cursor = cursor
        self._limits = limits
        self._program = program
        self._own = own_unit()
        self._process: subprocess.Popen[bytes] | None = None
        self._stream = LineStream(limits)
        self._start_at_s = 0.0
        self._failures = 0

    def start(self, now_s: float) -> int | None:
        """The descriptor to watch, when one was started now; raises OSError when there is no journalctl."""
        if not self._limits.journal or self._process is not None or now_s < self._start_at_s:
            return None
        self._failures += 1
        self._start_at_s = now_s + pause_s(
            self._failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s
        )
        self._stream = LineStream(self._limits)
        self._process = subprocess.Popen(
            command(self._limits, self.cursor, self._program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        return self._process.stdout.fileno()

    def read(self, now_s: float, now_ns: int) -> list[LogRecord] | None:
        """The entries that came; None when journalctl ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        content = piped(self._process.stdout.fileno(), self._limits)
        if content is None:
            return None
        records = []
        for line in self._stream.feed(content, now_s):
            entry = entry_of(line, self._own, now_ns)
            if entry is not None:
                records.append(entry.record)
                self.cursor = entry.cursor or self.cursor
        if records:
            self._failures = 0
        return records

    def stop(self) -> None:
        """End it, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def own_unit() -> str:
    """The service that we are, whose lines we have already; empty when we are none."""
    try:
        path = _OWN_CGROUP.read_text().strip().rpartition(":")[2]
    except OSError:
        return ""
    return next((part for part in reversed(path.split("/")) if part.endswith(".service")), "")


def entry_of(line: bytes, own: str, now_ns: int) -> JournalEntry | None:
    """None for what is no entry, or one of ``own``."""
    try:
        fields = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    unit = _first(fields, "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_COMM")
    if own and fields.get("_SYSTEMD_UNIT") == own:
        return None
    pid = fields.get("_PID")
    source = Resource(
        service_name=unit, pid=int(pid) if isinstance(pid, str) and pid.isdecimal() else 0
    )
    record = record_of(_message(fields.get("MESSAGE")), source, now_ns)
    return JournalEntry(_with_header(record, fields, now_ns), str(fields.get("__CURSOR", "")))


def _with_header(record: LogRecord, fields: dict[str, Any], now_ns: int) -> LogRecord:
    """What journald knows of it, where the message itself does not say more."""
    microseconds = fields.get("_SOURCE_REALTIME_TIMESTAMP") or fields.get("__REALTIME_TIMESTAMP")
    if isinstance(microseconds, str) and microseconds.isdecimal() and not record.observed_timestamp:
        at_ns = instant_ns(int(microseconds), now_ns)
        if at_ns is not None:
            record = msgspec.structs.replace(record, timestamp=at_ns, observed_timestamp=now_ns)
    priority = fields.get("PRIORITY")
    if not record.severity_number and isinstance(priority, str) and priority in "01234567":
        severity = SYSLOG[int(priority)]
        record = msgspec.structs.replace(
            record,
            severity_number=severity.value,
            severity_text=Severity(severity).name.lower(),
        )
    return record


def _message(said: object) -> bytes:
    """A string; or bytes, one by one, when it is no UTF-8; nothing, when it was too long for JSON."""
    if isinstance(said, str):
        return said.encode("utf-8", "replace")
    if isinstance(said, list) and all(type(each) is int and 0 <= each < 256 for each in said):
        return bytes(said)
    return b""


def _first(fields: dict[str, Any], *names: str) -> str:
    said = (fields.get(name) for name in names)
    return next((each[:UNIT_CHARACTERS] for each in said if isinstance(each, str)), "")
