"""Facts as they are published, from now on: bounded, checked, alive across reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.deliveries import decode_from
from fleetward.client.errors import NoSystemError
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.event import Event
from fleetward.contracts.rows import PLACEHOLDER

MAX_WAITING_FACTS = 10_000
"""A reader that is slower than the fleet loses the oldest facts first, and is told how many."""

_E = TypeVar("_E", bound=Event)


class LiveFacts(Generic[_E]):
    """The facts of one subscription, oldest first; made by ``live_facts``."""

    def __init__(self, event: type[_E]) -> None:
        self._event = event
        self._waiting: asyncio.Queue[_E] = asyncio.Queue(MAX_WAITING_FACTS)
        self.lost = 0

    async def next(self, timeout_s: float | None = None) -> _E | None:
        """The next fact; None when none came within ``timeout_s``."""
        try:
            return await asyncio.wait_for(self._waiting.get(), timeout_s)
        except asyncio.TimeoutError:
            return None

    def __aiter__(self) -> AsyncIterator[_E]:
        return self._facts()

    async def _facts(self) -> AsyncIterator[_E]:
        while True:
            yield await self._waiting.get()

    async def _received(self, message: Msg) -> None:
        try:
            fact = decode_from(message.subject, message.data)
        except UnreadableMessageError:
            self.lost += 1
            return
        if not isinstance(fact, self._event):
            return
        if self._waiting.full():
            self._waiting.get_nowait()
            self.lost += 1
        self._waiting.put_nowait(fact)


@asynccontextmanager
async def live_facts(
    connection: Client, event: type[_E], **fields: str
) -> AsyncIterator[LiveFacts[_E]]:
    """Subscribe to ``event`` for as long as the block runs; a field left out matches anything.

    What is published while the connection is down, or in the first milliseconds of the block
    (the subject comes from another account), is not seen here, and on an atomic stream a batch
    is seen even if the stream then refuses it: read last values where it matters.
    """
    if connection.is_closed:
        raise NoSystemError("The connection to the system is closed. Connect again.")
    subject = PLACEHOLDER.sub(lambda match: fields.get(match[1], "*"), row_of(event).subject)
    facts = LiveFacts(event)
    subscription = await connection.subscribe(subject, cb=facts._received)  # noqa: SLF001 (its maker)
    await connection.flush()
    try:
        yield facts
    finally:
        if not connection.is_closed:
            await subscription.unsubscribe()
