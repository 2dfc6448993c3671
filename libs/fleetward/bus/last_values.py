"""Reads the last fact on a subject straight from its stream: state, without a consumer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Generic, TypeVar

import nats.errors
from msgspec import Struct
from nats.aio.client import NO_RESPONDERS_STATUS, Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import APIError

from fleetward.bus.errors import BusError, NoAnswerError
from fleetward.bus.tracing import traceparent_in
from fleetward.bus.waiting import once_served
from fleetward.contracts.accounts import account_of_name, streams_prefix
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.event import Event
from fleetward.contracts.rows import PLACEHOLDER, EventRow

READ_TIMEOUT_S = 5.0
SUBJECTS_PER_READ = 500
"""How many subjects one multi-get names; the server answers at most 1,024 messages."""

_DIRECT_GET = "$JS.API.DIRECT.GET"
_STATUS_NOT_FOUND = "404"
_STATUS_END_OF_BATCH = "204"
_STATUS_TOO_MANY = "413"

_E = TypeVar("_E", bound=Event)


class _Page(Struct, frozen=True):
    """One answer, in stream order, and how many more there are."""

    replies: tuple[Msg, ...]
    left: int


class Stored(Struct, frozen=True):
    """A stored message as it is: nobody looked at its payload yet."""

    subject: str
    payload: bytes
    sequence: int
    stored_at: datetime


class Value(Struct, Generic[_E], frozen=True):
    """A stored fact with its stream sequence, to compare and set by, and when it was stored."""

    event: _E
    sequence: int
    stored_at: datetime
    traceparent: str = ""


async def last_value(
    connection: Client, event: type[_E], *, timeout_s: float = READ_TIMEOUT_S, **fields: str
) -> Value[_E] | None:
    """The last ``event`` whose subject has these ``fields``, or None; raises NoAnswerError."""
    row = row_of(event)
    subject = row.subject.format(**fields)
    asked = f"{_DIRECT_GET}.{_stream(row)}.{subject}"
    try:
        reply = await once_served(
            lambda left_s: connection.request(asked, b"", timeout=left_s), timeout_s
        )
    except (nats.errors.Error, asyncio.TimeoutError) as problem:
        raise NoAnswerError(f"the server did not answer for {subject} ({problem!r}).") from problem
    status = (reply.headers or {}).get("Status")
    if status == _STATUS_NOT_FOUND:
        return None
    if status is not None:
        raise BusError(f"reading {subject} was refused with status {status}.")
    return _value(reply, event)


async def last_values(
    connection: Client, event: type[_E], *, timeout_s: float = READ_TIMEOUT_S, **fields: str
) -> list[Value[_E]]:
    """The last ``event`` of every subject that matches; a field left out matches anything."""
    row = row_of(event)
    filled = _filled(row, fields)
    replies = await _multi_get(connection, row, [filled], timeout_s)
    if replies is None:
        subjects = await _subjects_matching(connection, row, filled, timeout_s)
        return await _last_of(connection, event, subjects, timeout_s)
    return [_value(reply, event) for reply in replies]


async def last_values_of(
    connection: Client,
    event: type[_E],
    field: str,
    values: Sequence[str],
    *,
    timeout_s: float = READ_TIMEOUT_S,
) -> list[Value[_E]]:
    """The last ``event`` for each of ``values`` of one ``field``; those without any are left out."""
    row = row_of(event)
    subjects = [row.subject.format(**{field: value}) for value in values]
    return await _last_of(connection, event, subjects, timeout_s)


async def last_stored_of(
    connection: Client,
    event: type[Event],
    field: str,
    values: Sequence[str],
    *,
    timeout_s: float = READ_TIMEOUT_S,
) -> dict[str, Stored]:
    """The last message for each of ``values`` of one ``field`` that has any, undecoded.

    For a reader whom no poison may stop. Raises NoAnswerError.
    """
    row, found = row_of(event), dict[str, Stored]()
    value_at = {row.subject.format(**{field: value}): value for value in values}
    for chunk in _chunks(list(value_at)):
        for reply in await _multi_get(connection, row, chunk, timeout_s) or ():
            stored = _stored(reply)
            found[value_at[stored.subject]] = stored
    return found


async def last_stored(
    connection: Client,
    events: Sequence[type[Event]],
    *,
    timeout_s: float = READ_TIMEOUT_S,
    **fields: str,
) -> list[Stored]:
    """The last message of each subject of several rows of one stream; a field left out matches any.

    One reading, so of one moment as nearly as the server can; at most 1,024 messages. Raises
    NoAnswerError, BusError.
    """
    rows = [row_of(event) for event in events]
    subjects = [_filled(row, fields) for row in rows]
    replies = await _multi_get(connection, rows[0], subjects, timeout_s)
    if replies is None:
        raise BusError(f"{', '.join(subjects)} are more subjects than one reading can hold.")
    return [_stored(reply) for reply in replies]


async def last_stored_before(
    connection: Client, event: type[Event], stored: Stored, *, timeout_s: float = READ_TIMEOUT_S
) -> Stored | None:
    """What stood last on its subject before ``stored``, if it is kept; raises NoAnswerError."""
    if stored.sequence <= 1:
        return None
    wanted = {"multi_last": [stored.subject], "up_to_seq": stored.sequence - 1}
    page = await _page(connection, row_of(event), wanted, timeout_s)
    return _stored(page.replies[-1]) if page is not None and page.replies else None


async def _last_of(
    connection: Client, event: type[_E], subjects: Sequence[str], timeout_s: float
) -> list[Value[_E]]:
    found: list[Value[_E]] = []
    for chunk in _chunks(subjects):
        replies = await _multi_get(connection, row_of(event), chunk, timeout_s)
        found.extend(_value(reply, event) for reply in replies or ())
    return found


async def _multi_get(
    connection: Client, row: EventRow, subjects: Sequence[str], timeout_s: float
) -> list[Msg] | None:
    """Every last message of ``subjects``; None when there are more than one answer can hold.

    The server sends at most 64 MiB at once and says how many are left; they are read on from
    the sequence where it stopped. A subject that moved in between is taken as it stands last.
    """
    found: dict[str, Msg] = {}
    first = 1
    while subjects:
        page = await _page(connection, row, {"multi_last": list(subjects), "seq": first}, timeout_s)
        if page is None:
            return None
        for reply in page.replies:
            found[_subject(reply)] = reply
        if not (page.left and page.replies):
            break
        first = _sequence(page.replies[-1]) + 1
    return list(found.values())


async def _page(
    connection: Client, row: EventRow, wanted: dict[str, object], timeout_s: float
) -> _Page | None:
    payload = json.dumps(wanted).encode()

    async def ask(left_s: float) -> _Page | None:
        inbox = connection.new_inbox()
        subscription = await connection.subscribe(inbox)
        try:
            await connection.publish(f"{_DIRECT_GET}.{_stream(row)}", payload, reply=inbox)
            return await _replies(subscription, row, left_s)
        finally:
            await subscription.unsubscribe()

    try:
        return await once_served(ask, timeout_s)
    except (nats.errors.Error, asyncio.TimeoutError) as problem:
        raise NoAnswerError(f"the server did not answer for {row.kind} ({problem!r}).") from problem


async def _replies(subscription: Subscription, row: EventRow, timeout_s: float) -> _Page | None:
    replies: list[Msg] = []
    while True:
        reply = await subscription.next_msg(timeout=timeout_s)
        headers = reply.headers or {}
        status = headers.get("Status")
        if status is None:
            replies.append(reply)
        elif status in {_STATUS_END_OF_BATCH, _STATUS_NOT_FOUND}:
            return _Page(tuple(replies), int(headers.get("Nats-Num-Pending", 0)))
        elif status == _STATUS_TOO_MANY:
            return None
        elif status == NO_RESPONDERS_STATUS:
            raise nats.errors.NoRespondersError
        else:
            raise BusError(f"reading {row.kind} was refused with status {status}.")


async def _subjects_matching(
    connection: Client, row: EventRow, pattern: str, timeout_s: float
) -> list[str]:
    try:
        prefix = streams_prefix(account_of_name(connection.options["name"]))
        streams = connection.jetstream(prefix=prefix, timeout=timeout_s)
        information = await streams.stream_info(_stream(row), subjects_filter=pattern)
    except (nats.errors.Error, asyncio.TimeoutError, APIError) as problem:
        raise NoAnswerError(f"the server did not list {pattern} ({problem!r}).") from problem
    return sorted(information.state.subjects or {})


def _value(reply: Msg, event: type[_E]) -> Value[_E]:
    headers = reply.headers or {}
    return Value(
        decode(reply.data, event),
        _sequence(reply),
        _stored_at(headers["Nats-Time-Stamp"]),
        traceparent_in(headers),
    )


def _stored(reply: Msg) -> Stored:
    stored_at = _stored_at((reply.headers or {})["Nats-Time-Stamp"])
    return Stored(_subject(reply), reply.data, _sequence(reply), stored_at)


def _subject(reply: Msg) -> str:
    return (reply.headers or {})["Nats-Subject"]


def _sequence(reply: Msg) -> int:
    return int((reply.headers or {})["Nats-Sequence"])


def _stored_at(stamp: str) -> datetime:
    """RFC 3339 with up to nine decimals, cut to microseconds (Python 3.10 reads no more)."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    microseconds = int(fraction[:6].ljust(6, "0"))
    return datetime.fromisoformat(whole).replace(microsecond=microseconds, tzinfo=timezone.utc)


def _stream(row: EventRow) -> str:
    if row.stream is None:
        raise BusError(f"{row.kind} is kept in no stream, so it has no last value.")
    return row.stream.value


def _filled(row: EventRow, fields: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: fields.get(match[1], "*"), row.subject)


def _chunks(subjects: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(subjects), SUBJECTS_PER_READ):
        yield subjects[start : start + SUBJECTS_PER_READ]
