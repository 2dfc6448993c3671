"""What the collector says of itself, in the same log: what it dropped, cut, or could not read."""

from __future__ import annotations

import time
from typing import Any

from fleetward.logs.record import LogRecord, Resource, Severity

SOURCE = Resource(service_name="fleetward-logs")
_WAITING = 64
"""Things to be said at once; more are of the same kind."""


class Notes:
    """Said every ``every_s`` at most, so that a trouble does not fill the log it is about."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._said_s = float("-inf")
        self._waiting: list[dict[str, Any]] = []
        self._counted: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def refused(self, reason: str, what: str) -> None:
        """Something cannot be collected."""
        if len(self._waiting) < _WAITING:
            self._waiting.append({"event": "logs.refused", "reason": reason, "what": what})

    def count(self, event: str, so_far: int) -> None:
        """How often something happened so far."""
        self._counted[event] = so_far

    def due(self, now_s: float) -> list[LogRecord]:
        """What is to be said now."""
        if now_s - self._said_s < self._every_s:
            return []
        said, self._waiting = self._waiting, []
        for event, so_far in self._counted.items():
            before = self._told.get(event, 0)
            if so_far > before:
                said.append({"event": event, "count": so_far - before, "count_ever": so_far})
                self._told[event] = so_far
        if said:
            self._said_s = now_s
        return [_record(each) for each in said]


def _record(said: dict[str, Any]) -> LogRecord:
    event = said.pop("event")
    return LogRecord(
        timestamp=time.time_ns(),
        severity_number=Severity.WARN.value,
        severity_text="warning",
        body=event,
        resource=SOURCE,
        attributes=said,
    )
