"""What is severe is said at once, at a bounded rate; nobody who logs waits for anybody."""

from __future__ import annotations

import logging
import socket

import msgspec

from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.live import LiveRecords
from edge_bridge.logs.notes import Notes
from edge_bridge.logs.tap import LogTap
from edge_bridge.logs.wire import MESSAGE_BYTES, encoded
from fleetward.bus.logs import log
from fleetward.logs.record import LogRecord, Severity
from tests.unit.edge_bridge_logs.records import record

LIMITS = LogSettings(live_burst=3, live_records_per_s=1.0, live_record_bytes=1000)


def said(live: LiveRecords) -> tuple[list[int], int]:
    taken = live.take()
    return ([], 0) if taken is None else ([each.number for each in taken.records], taken.unsaid)


def test_warnings_and_worse_are_said_with_their_numbers() -> None:
    live = LiveRecords(LIMITS, 0.0)
    severities = (Severity.INFO, Severity.WARN, Severity.DEBUG, Severity.FATAL)
    live.saw([record(each, severity) for each, severity in enumerate(severities)], 100, 0.0)
    assert said(live) == ([101, 103], 0)
    assert said(live) == ([], 0)


def test_flood_is_counted_and_the_next_warning_is_said_again() -> None:
    live = LiveRecords(LIMITS, 0.0)
    live.saw([record(each, Severity.ERROR) for each in range(1000)], 0, 0.0)
    assert said(live) == ([0, 1, 2], 997)
    live.saw([record(0, Severity.ERROR)] * 3, 2000, 2.0)
    assert said(live) == ([2000, 2001], 1)


def test_message_that_was_not_taken_is_counted() -> None:
    live = LiveRecords(LIMITS, 0.0)
    live.saw([record(0, Severity.ERROR)] * 5, 0, 0.0)
    unsent = live.take()
    assert unsent is not None
    live.unheard(unsent)
    assert said(live) == ([], 5)


def test_record_that_is_too_long_is_cut_and_messages_are_bounded() -> None:
    limits = LogSettings(live_burst=10**6, live_record_bytes=4096)
    live = LiveRecords(limits, 0.0)
    long = record(0, Severity.ERROR, body="\x00" * 10**5)
    live.saw([long] * 50, 0, 0.0)
    message = live.take()
    assert message is not None
    assert len(encoded(message)) <= MESSAGE_BYTES
    assert len(message.records) + message.unsaid == 50
    kept = msgspec.json.decode(message.records[0].line, type=LogRecord)
    assert kept.body.endswith("[cut]")
    assert kept.timestamp == long.timestamp


def test_bridge_that_nobody_hears_goes_on_and_says_later_what_was_dropped() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(1.0)
    tap, logger = LogTap("edge-bridge", ours), logging.Logger("one of its own")
    logger.addHandler(tap)
    told = 0
    while not tap.dropped:
        log(logger, "a.b", number=told, text="x" * 10_000)
        told += 1
    log(logger, "a.b", number=told)
    assert tap.dropped == 2
    for _ in range(told - 1):
        theirs.recv(MESSAGE_BYTES)
    log(logger, "c.d", secret_of="nobody")
    lines = [msgspec.json.decode(theirs.recv(MESSAGE_BYTES)) for _ in range(2)]
    assert (lines[0]["event"], lines[0]["count"]) == ("logs.dropped", 2)
    assert (lines[1]["event"], lines[1]["service"]) == ("c.d", "edge-bridge")
    ours.close()
    theirs.close()


def test_trouble_is_told_now_and_then_and_counted() -> None:
    notes = Notes(every_s=10.0)
    notes.count("logs.dropped", 3)
    notes.refused("Permission denied", "/var/log/secret")
    assert [(each.body, each.attributes) for each in notes.due(0.0)] == [
        ("logs.refused", {"reason": "Permission denied", "what": "/var/log/secret"}),
        ("logs.dropped", {"count": 3, "count_ever": 3}),
    ]
    notes.count("logs.dropped", 5)
    assert notes.due(9.0) == []
    assert [each.attributes for each in notes.due(10.0)] == [{"count": 2, "count_ever": 5}]
    assert notes.due(30.0) == []
