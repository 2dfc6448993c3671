"""Severe records are said at once, at a bounded rate: the first of many say what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.wire import MESSAGE_BYTES, Live, LiveRecord
from fleetward.logs.record import LogRecord, Severity

SAID_FROM = Severity.WARN.value
_ROOM_BYTES = MESSAGE_BYTES // 2
"""Of records in one message; NATS and the socket take more."""
_CUT = " [cut]"


class LiveRecords:
    """Those that are to be said. Times are by one monotonic clock, in seconds."""

    def __init__(self, limits: LogSettings, now_s: float) -> None:
        self._limits = limits
        self._tokens = float(limits.live_burst)
        self._filled_s = now_s
        self._waiting: list[LiveRecord] = []
        self._waiting_bytes = 0
        self._unsaid = 0

    def saw(self, records: Sequence[LogRecord], first: int, now_s: float) -> None:
        """Choose from ``records``, of which the first has the number ``first``."""
        for number, record in enumerate(records, first):
            if record.severity_number >= SAID_FROM:
                self._choose(number, record, now_s)

    def take(self) -> Live | None:
        """What is to be said now."""
        if not self._waiting and not self._unsaid:
            return None
        live = Live(records=tuple(self._waiting), unsaid=self._unsaid)
        self._waiting, self._waiting_bytes, self._unsaid = [], 0, 0
        return live

    def unheard(self, live: Live) -> None:
        """The message could not be sent; what was in it stands in its segment."""
        self._unsaid += live.unsaid + len(live.records)

    def _choose(self, number: int, record: LogRecord, now_s: float) -> None:
        self._fill(now_s)
        line = self._line(record) if self._tokens >= 1.0 else b""
        if not line or self._waiting_bytes + len(line) > _ROOM_BYTES:
            self._unsaid += 1
            return
        self._tokens -= 1.0
        self._waiting.append(LiveRecord(number, line))
        self._waiting_bytes += len(line)

    def _fill(self, now_s: float) -> None:
        gained = (now_s - self._filled_s) * self._limits.live_records_per_s
        self._tokens = min(self._limits.live_burst, self._tokens + gained)
        self._filled_s = now_s

    def _line(self, record: LogRecord) -> bytes:
        """As in the segment; what is too long loses its attributes, and then the end of its body."""
        limit_bytes = self._limits.live_record_bytes
        line = msgspec.json.encode(record)
        if len(line) <= limit_bytes:
            return line
        body = record.body[: limit_bytes // 8]
        if body != record.body:
            body += _CUT
        return msgspec.json.encode(msgspec.structs.replace(record, body=body, attributes={}))
