"""Reads every fact a stream still keeps on some subjects, oldest first, without a consumer.

The server's batched direct get (NATS ADR-31). A fact that is copied to a history stream is read
from there, where it is kept for longer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.errors import BusError, NoAnswerError
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.event import Event
from fleetward.contracts.rows import PLACEHOLDER, EventRow

READ_TIMEOUT_S = 5.0
FACTS_PER_READ = 256
"""The server sends at most so many, or 64 MiB, in answer to one request."""

_DIRECT_GET = "$JS.API.DIRECT.GET"
_STATUS_NOT_FOUND = "404"
_STATUS_END_OF_BATCH = "204"

_E = TypeVar("_E", bound=Event)


async def history(
    connection: Client, event: type[_E], *, timeout_s: float = READ_TIMEOUT_S, **fields: str
) -> AsyncIterator[_E]:
    """Every ``event`` kept whose subject has these ``fields``; one left out matches anything.

    Raises NoAnswerError, UnreadableMessageError.
    """
    row = row_of(event)
    subject = PLACEHOLDER.sub(lambda match: fields.get(match[1], "*"), row.subject)
    following = 1
    while True:
        replies = await _replies(connection, row, subject, following, timeout_s)
        for reply in replies:
            yield decode(reply.data, event)
        if len(replies) < FACTS_PER_READ:
            return
        following = 1 + int((replies[-1].headers or {})["Nats-Sequence"])


async def _replies(
    connection: Client, row: EventRow, subject: str, following: int, timeout_s: float
) -> list[Msg]:
    stream = row.history or row.stream
    if stream is None:
        raise BusError(f"{row.kind} is kept in no stream, so it has no history.")
    wanted = {"seq": following, "next_by_subj": subject, "batch": FACTS_PER_READ}
    inbox = connection.new_inbox()
    try:
        subscription = await connection.subscribe(inbox)
        try:
            asked = json.dumps(wanted).encode()
            await connection.publish(f"{_DIRECT_GET}.{stream.value}", asked, reply=inbox)
            replies: list[Msg] = []
            while True:
                reply = await subscription.next_msg(timeout=timeout_s)
                status = (reply.headers or {}).get("Status")
                if status in {_STATUS_END_OF_BATCH, _STATUS_NOT_FOUND}:
                    return replies
                if status is not None:
                    raise BusError(f"reading {subject} was refused with status {status}.")
                replies.append(reply)
        finally:
            await subscription.unsubscribe()
    except (nats.errors.Error, asyncio.TimeoutError) as problem:
        raise NoAnswerError(f"the server did not answer for {row.kind} ({problem!r}).") from problem
