"""One stored message on its way to a handler: decoded, checked, and answered exactly once."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.tracing import traceparent_in
from fleetward.contracts.catalog import row_of_subject
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.event import Event

NANOSECONDS = 1_000_000_000


class Delivery:
    """A message of a durable consumer, with the server's metadata from its reply subject."""

    __slots__ = ("_connection", "_message", "_tokens", "answered")

    def __init__(self, connection: Client, message: Msg) -> None:
        self._connection = connection
        self._message = message
        self._tokens = message.reply.split(".")
        self.answered = False

    @property
    def subject(self) -> str:
        """The concrete subject it was published on."""
        return self._message.subject

    @property
    def payload(self) -> bytes:
        """The undecoded body."""
        return self._message.data

    @property
    def stream(self) -> str:
        """The stream that keeps it."""
        return self._tokens[2]

    @property
    def consumer(self) -> str:
        """The durable consumer that delivered it."""
        return self._tokens[3]

    @property
    def deliveries(self) -> int:
        """How often it was delivered, this time included."""
        return int(self._tokens[4])

    @property
    def sequence(self) -> int:
        """Its sequence in the stream."""
        return int(self._tokens[5])

    @property
    def published_at(self) -> datetime:
        """When the server stored it, UTC."""
        return datetime.fromtimestamp(int(self._tokens[7]) / NANOSECONDS, timezone.utc)

    @property
    def traceparent(self) -> str:
        """The trace it belongs to, or an empty string."""
        return traceparent_in(self._message.headers)

    def decode(self) -> Any:  # noqa: ANN401 (the Struct that the catalog gives this subject)
        """The fact itself; raises UnreadableMessageError, also when it speaks for somebody else."""
        return decode_from(self.subject, self.payload)

    async def ack(self) -> None:
        """Done: never deliver it again."""
        await self._answer(b"+ACK")

    async def nak(self, delay_s: float = 0.0) -> None:
        """Not now: deliver it again after ``delay_s``."""
        await self._answer(b"-NAK " + json.dumps({"delay": int(delay_s * NANOSECONDS)}).encode())

    async def terminate(self) -> None:
        """Never: it is poison and stands in the dead letters."""
        await self._answer(b"+TERM")

    async def _answer(self, verdict: bytes) -> None:
        self.answered = True
        await self._connection.publish(self._message.reply, verdict)


def decode_from(subject: str, payload: bytes) -> Event:
    """The fact on ``subject``; one whose body names another subject is refused.

    The server checks who may publish where; this checks that the body says the same, so robot A
    cannot speak as robot B from its own subject.
    """
    row = row_of_subject(subject)
    event = decode(payload, row.event)
    if row.subject_of(event) != subject:
        raise UnreadableMessageError(f"{row.event.__name__} on {subject} speaks for somebody else.")
    return event
