"""A message no handler could take, kept whole for a person to look at."""

from __future__ import annotations

from fleetward.contracts.event import Event, UtcTime


class DeadLettered(Event, frozen=True, kw_only=True):
    """``payload`` is the original body, ``subject`` where it was published, ``error`` why it failed."""

    stream: str
    consumer: str
    stream_sequence: int
    subject: str
    payload: bytes
    error: str
    deliveries: int
    dead_lettered_at: UtcTime
