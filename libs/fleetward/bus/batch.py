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
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from secrets import token_hex

import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.bulk import Message, send_all, sent
from fleetward.bus.errors import BusError, ConflictError, PublishError
from fleetward.bus.tracing import headers_of_span
from fleetward.bus.waiting import within
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
    connection: Client,
    writes: Sequence[Write],
    *,
    timeout_s: float = BATCH_TIMEOUT_S,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Store every write or none; return the last one's stream sequence.

    ``meanwhile``: done while the server stores them.

    Raises ConflictError when an expectation does not hold, PublishError when the outcome is
    unknown (load and decide again: the compare-and-set tells), BusError when refused.
    """
    if not 0 < len(writes) <= MAX_BATCH_MESSAGES:
        raise BusError(f"a batch has 1 to {MAX_BATCH_MESSAGES} messages, not {len(writes)}.")
    messages = _messages(writes)
    if len(messages) > 1:
        await _acknowledged(connection, messages[0], timeout_s)
        await send_all(connection, messages[1:-1])
    committed = asyncio.ensure_future(_acknowledged(connection, messages[-1], timeout_s))
    try:
        if meanwhile is not None:
            await asyncio.sleep(0)  # the commit is handed over
            with suppress(asyncio.TimeoutError):  # then the commit is not acknowledged either
                # Else the server would wait for what is done here.
                await within(sent(connection), timeout_s)
            await meanwhile()
        return await committed
    finally:
        committed.cancel()


def _messages(writes: Sequence[Write]) -> list[Message]:
    trace, batch_id = headers_of_span(), token_hex(16)
    messages: list[Message] = []
    for position, write in enumerate(writes, 1):
        row = row_of(type(write.event))
        headers = {**trace, "Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(position)}
        if position == len(writes):
            headers["Nats-Batch-Commit"] = "1"
        if write.expected_last_sequence is not None:
            headers[_EXPECTED] = str(write.expected_last_sequence)
        if row.newest_only:
            headers[_ROLLUP] = "sub"  # what it replaces is forgotten, whatever the stream's limits
        payload = encode_within(write.event, row.size_limit_bytes)
        messages.append(Message(row.subject_of(write.event), headers, payload))
    return messages


async def _acknowledged(connection: Client, message: Message, timeout_s: float) -> int:
    """Publish and wait: the first message's answer is empty, the commit's is the PubAck."""
    subject = message.subject
    try:
        reply = await connection.request(
            subject, message.payload, timeout=timeout_s, headers=dict(message.headers)
        )
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
