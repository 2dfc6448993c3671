"""All or nothing: several facts of one stream in one write, with compare-and-set.

The server's atomic batch publish (NATS ADR-50): nats-py has the stream flag but no publisher.

All or nothing holds for the stream, not for live subscribers: the server hands every message of
a batch to core subscriptions as it passes, also when the stream then refuses the batch. So what
a plain subscription hears on an ``atomic`` stream means only "look now"; what counts is read
from the stream (``last_values``) or comes through a durable consumer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from secrets import token_hex

import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.errors import BusError, ConflictError, PublishError
from fleetward.bus.publish import publish_core
from fleetward.bus.tracing import headers_of_span
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import encode_within
from fleetward.contracts.event import Event

MAX_BATCH_MESSAGES = 1000
"""The server's own limit."""
BATCH_TIMEOUT_S = 10.0

_CONFLICT_CODES = frozenset({10071, 10164})
_INCOMPLETE_CODE = 10176
"""The server lost a part: it restarted, or we reconnected, in the middle."""
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_ROLLUP = "Nats-Rollup"


class Write(Struct, frozen=True):
    """One fact of a batch. ``expected_last_sequence``: 0 means that the subject is still empty."""

    event: Event
    expected_last_sequence: int | None = None


async def write_atomically(
    connection: Client, writes: Sequence[Write], *, timeout_s: float = BATCH_TIMEOUT_S
) -> int:
    """Store every write or none; return the last one's stream sequence. Raises as ``AtomicBatch``."""
    batch = AtomicBatch(connection, len(writes), timeout_s=timeout_s)
    for write in writes:
        await batch.add(write)
    return batch.last_sequence


class AtomicBatch:
    """A batch whose writes are made while those before are on their way: all are stored or none.

    The one that completes its size commits it; a batch that is left before stores nothing.
    """

    def __init__(
        self, connection: Client, size: int, *, timeout_s: float = BATCH_TIMEOUT_S
    ) -> None:
        """Raises BusError for a size that no batch may have."""
        if not 0 < size <= MAX_BATCH_MESSAGES:
            raise BusError(f"a batch has 1 to {MAX_BATCH_MESSAGES} messages, not {size}.")
        self._connection = connection
        self._size = size
        self._timeout_s = timeout_s
        self._id = token_hex(16)
        self._trace = headers_of_span()
        self._added = 0
        self.last_sequence = 0
        """Of the last write in its stream, once all are stored."""

    async def add(self, write: Write) -> None:
        """The next write.

        Raises ConflictError when an expectation does not hold, PublishError when the outcome is
        unknown (load and decide again: the compare-and-set tells), BusError when refused.
        """
        self._added += 1
        row = row_of(type(write.event))
        subject = row.subject_of(write.event)
        payload = encode_within(write.event, row.size_limit_bytes)
        headers = {**self._trace, **_headers(self._id, self._added, self._size, write)}
        if self._added in {1, self._size}:
            self.last_sequence = await _acknowledged(
                self._connection, subject, payload, headers, self._timeout_s
            )
        else:
            await publish_core(self._connection, subject, payload, headers)


def _headers(batch_id: str, position: int, last: int, write: Write) -> dict[str, str]:
    headers = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(position)}
    if position == last:
        headers["Nats-Batch-Commit"] = "1"
    if write.expected_last_sequence is not None:
        headers[_EXPECTED] = str(write.expected_last_sequence)
    if row_of(type(write.event)).newest_only:
        headers[_ROLLUP] = "sub"  # what it replaces is forgotten, whatever the stream's limits
    return headers


async def _acknowledged(
    connection: Client, subject: str, payload: bytes, headers: dict[str, str], timeout_s: float
) -> int:
    """Publish and wait: the first message's answer is empty, the commit's is the PubAck."""
    try:
        reply = await connection.request(subject, payload, timeout=timeout_s, headers=headers)
    except (nats.errors.Error, asyncio.TimeoutError) as problem:
        raise PublishError(
            f"the batch was not acknowledged ({problem!r}); load and retry."
        ) from problem
    answer = json.loads(reply.data) if reply.data else {}
    if "error" in answer:
        error = answer["error"]
        if error.get("err_code") in _CONFLICT_CODES:
            raise ConflictError(
                f"another writer moved a subject of the batch that ends at {subject} first: "
                f"{error['description']}."
            )
        if error.get("err_code") == _INCOMPLETE_CODE:
            raise PublishError("a part of the batch was lost on the way; load and retry.")
        raise BusError(f"the server refused the batch at {subject}: {error['description']}.")
    return int(answer.get("seq", 0))
