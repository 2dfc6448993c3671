"""Publishes facts to the subject that the catalog gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError

from fleetward.bus.bulk import Message, send_all
from fleetward.bus.errors import BusError, ConflictError, PublishError
from fleetward.bus.tracing import headers_of_span
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import encode_within
from fleetward.contracts.event import Event

MESSAGE_ID = "Nats-Msg-Id"
LAST_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence"
PUBLISH_TIMEOUT_S = 5.0
_OTHER_LAST_SEQUENCE = 10071


async def publish(
    connection: Client,
    event: Event,
    *,
    message_id: str | None = None,
    after: int | None = None,
    timeout_s: float = PUBLISH_TIMEOUT_S,
) -> int:
    """Publish ``event``; return its stream sequence, or 0 when the catalog keeps it nowhere.

    ``message_id`` makes publishing twice harmless; it must not be guessable by others. ``after``: only
    if this is still the sequence of the last fact on the subject, otherwise ConflictError. Raises
    PublishError when the server did not acknowledge: it may still be stored, so retry with the
    same id.
    """
    row = row_of(type(event))
    payload = encode_within(event, row.size_limit_bytes)
    subject = row.subject_of(event)
    headers = headers_of_span()
    if row.stream is None:
        await publish_core(connection, subject, payload, headers)
        return 0
    if message_id is not None:
        headers[MESSAGE_ID] = message_id
    if after is not None:
        headers[LAST_ON_SUBJECT] = str(after)
    try:
        acknowledgement = await connection.jetstream().publish(
            subject, payload, timeout=timeout_s, stream=row.stream.value, headers=headers
        )
    except (
        nats.errors.Error,
        asyncio.TimeoutError,
        APIError,
        NoStreamResponseError,
    ) as problem:
        if isinstance(problem, APIError) and problem.err_code == _OTHER_LAST_SEQUENCE:
            raise ConflictError(f"{subject} was written by somebody else first.") from problem
        raise PublishError(
            f"{row.kind} was not acknowledged within {timeout_s} s ({problem!r}); it is retried "
            "with the same message id."
        ) from problem
    return int(acknowledgement.seq)


async def publish_all(connection: Client, events: Sequence[Event]) -> None:
    """Publish facts that the catalog keeps nowhere, in one go; raises BusError."""
    headers = headers_of_span()
    messages: list[Message] = []
    for event in events:
        row = row_of(type(event))
        if row.stream is not None:
            raise BusError(f"{row.kind} is kept in a stream, which acknowledges each by itself.")
        payload = encode_within(event, row.size_limit_bytes)
        messages.append(Message(row.subject_of(event), headers, payload))
    await send_all(connection, messages)


async def publish_core(
    connection: Client, subject: str, payload: bytes, headers: dict[str, str]
) -> None:
    """Hand a message to the connection; raises PublishError when it takes none any more."""
    try:
        await connection.publish(subject, payload, headers=headers or None)
    except nats.errors.Error as problem:
        raise PublishError(f"{subject} could not be sent ({problem!r}).") from problem
