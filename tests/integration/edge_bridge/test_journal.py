"""A real journald, in a namespace of its own, and journalctl as it is here."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from edge_bridge.logs.journal import Follower
from edge_bridge.logs.limits import LogSettings
from fleetward.logs.record import LogRecord, Severity

JOURNALD = Path("/lib/systemd/systemd-journald")
SETTINGS = LogSettings(enabled=True, journal=("all",))
WAIT_S = 10.0

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not JOURNALD.exists() or shutil.which("journalctl") is None,
    reason="a journal of its own needs root, systemd-journald and journalctl",
)


class Journal:
    """``journalctl``: a program that reads this journal alone."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self._socket = f"/run/systemd/journal.{namespace}/socket"
        self.journalctl = directory / "journalctl"
        self.journalctl.write_text(f'#!/bin/sh\nexec journalctl --namespace={namespace} "$@"\n')
        self.journalctl.chmod(0o755)

    def write(self, message: bytes, **fields: str) -> None:
        """By its native protocol, as a program does that has libsystemd."""
        told = "".join(f"{name}={value}\n" for name, value in fields.items()).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(self._socket)
            length = len(message).to_bytes(8, "little")
            sender.send(b"%sMESSAGE\n%s%s\n" % (told, length, message))

    def open(self) -> None:
        """Until there is a journal to read: who follows before it is made sees none (systemd 252)."""
        self.write(b"the first", PRIORITY="6")
        until_s = time.monotonic() + WAIT_S
        while (
            b"the first"
            not in subprocess.run([self.journalctl], stdout=subprocess.PIPE, check=False).stdout
        ):
            assert time.monotonic() < until_s, "journald makes no journal"

    def read(self, cursor: str, count: int) -> tuple[list[LogRecord], str]:
        """So many records behind ``cursor`` that programs wrote, and where the last one is."""
        follower, found = Follower(SETTINGS, cursor, str(self.journalctl)), list[LogRecord]()
        descriptor = follower.start(1.0)
        assert descriptor is not None
        while len(found) < count:
            assert select.select([descriptor], [], [], WAIT_S)[0], found
            records = follower.read(1.0, time.time_ns())
            assert records is not None, "journalctl ended"
            found += [each for each in records if each.resource.pid == os.getpid()]
        follower.stop()
        return found, follower.cursor


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    namespace = f"fleetward-{uuid4().hex[:8]}"
    runs = Path(f"/run/systemd/journal.{namespace}")
    journald = subprocess.Popen([JOURNALD, namespace], stderr=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + WAIT_S
        while not (runs / "socket").exists():
            assert time.monotonic() < until_s, "journald does not start"
            time.sleep(0.02)  # it would tell systemd alone
        made = Journal(namespace, tmp_path)
        made.open()
        yield made
    finally:
        journald.terminate()
        journald.wait()
        kept = (
            Path(root).glob(f"*.{namespace}") for root in ("/var/log/journal", "/run/log/journal")
        )
        for directory in (runs, *(each for found in kept for each in found)):
            shutil.rmtree(directory, ignore_errors=True)


def test_entries_become_records_each_once(journal: Journal) -> None:
    journal.write(b"no way", PRIORITY="3", SYSLOG_IDENTIFIER="nav")
    journal.write(b'{"level":"debug","msg":"deep","password":"s3cr3t"}', PRIORITY="6")
    journal.write(b"caf\xe9\nand more", PRIORITY="4")
    first, cursor = journal.read("", 4)
    assert [(each.body, each.severity_number) for each in first] == [
        ("the first", Severity.INFO),
        ("no way", Severity.ERROR),
        ("deep", Severity.DEBUG),
        ("caf�\nand more", Severity.WARN),
    ]
    assert "s3cr3t" not in str(first)
    assert abs(first[0].timestamp - time.time_ns()) < WAIT_S * 1e9

    journal.write(b"next", PRIORITY="6")
    then, _ = journal.read(cursor, 1)
    assert [each.body for each in then] == ["next"]
