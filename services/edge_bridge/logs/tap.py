"""The bridge's own log records on their way to the collector; nobody waits for it."""

from __future__ import annotations

import logging
import socket
import threading

from edge_bridge.logs.wire import MESSAGE_BYTES
from fleetward.bus.logs import JsonLines

_DROPPED = b'{"level":"warning","service":"edge-bridge","event":"logs.dropped","count":%d}\n'


class LogTap(logging.Handler):
    """Sends each record as a line of JSON. What the socket does not take is counted, and said later."""

    def __init__(self, service: str, connection: socket.socket) -> None:
        super().__init__()
        self.setFormatter(JsonLines(service))
        connection.setblocking(False)
        self._connection = connection
        self._counting = threading.Lock()
        self.dropped = 0
        self._dropped_unsaid = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by ``logging``, from any thread."""
        try:
            line = self.format(record).encode("utf-8", "replace")[: MESSAGE_BYTES - 1] + b"\n"
        except Exception:  # noqa: BLE001 (what a program logs must not end it)
            self.handleError(record)
            return
        with self._counting:
            if self._dropped_unsaid and self._send(_DROPPED % self._dropped_unsaid):
                self._dropped_unsaid = 0
            if not self._send(line):
                self.dropped += 1
                self._dropped_unsaid += 1

    def _send(self, line: bytes) -> bool:
        try:
            self._connection.send(line)
        except OSError:
            return False
        return True
