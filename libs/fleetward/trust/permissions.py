"""Who may publish and subscribe to what follows from the catalog alone, and from nothing else.

Where each of them lives, and so how a subject reaches the streams, is said by ``accounts``.
"""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.accounts import Account, account_of, stream_info
from fleetward.contracts.catalog import CONSUMERS, EVENTS, REQUESTS
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.rows import (
    PLACEHOLDER,
    ConsumerRow,
    EventRow,
    Principal,
    RequestRow,
    StreamName,
)

OWN_NAME = "{{name()}}"
OWN_INBOX = f"_INBOX_{OWN_NAME}.>"

HEADER_ROOM_BYTES = 4 * 1024
"""Headers (message id, traceparent) count against a user's payload limit."""
ROBOT_SUBSCRIPTIONS = 8
PEOPLE_SUBSCRIPTIONS = 256
UNLIMITED = -1

_EVERYTHING_ABOUT_STREAMS = "$JS.API.>"
_DIRECT_GET = "$JS.API.DIRECT.GET"
MANY_ANSWERS = frozenset(f"{_DIRECT_GET}.{stream.value}" for stream in StreamName)
"""Requests that are answered by several messages: last values of many subjects at once."""


class UnsafeRowError(FleetwardError):
    """A row of the catalog would give robots more than their own subjects."""


class Permissions(Struct, frozen=True, kw_only=True):
    """Subjects one principal may publish and subscribe to. ``{{name()}}`` is filled in by the server.

    ``response_ttl_s``: how long a responder may answer the reply subject of a request.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    payload_bytes: int = UNLIMITED
    subscriptions: int = UNLIMITED
    response_ttl_s: float | None = None


def permissions_of(principal: Principal) -> Permissions:
    """What the catalog lets ``principal`` do; raises UnsafeRowError."""
    if principal is Principal.ROBOT:
        return _robot_permissions()
    answered = [row for row in REQUESTS if row.responder is principal]
    return Permissions(
        publish=_sorted(_published(principal)),
        subscribe=_sorted([OWN_INBOX, *_listened(principal), *(row.pattern for row in answered)]),
        subscriptions=_subscriptions(principal),
        response_ttl_s=max((row.timeout_s for row in answered), default=None),
    )


def _robot_permissions() -> Permissions:
    own = [_own(row.subject) for row in _robot_publishes()]
    own += [_own(row.subject) for row in _robot_asks()]
    own += [f"{_DIRECT_GET}.{_stream(row).value}.{_readable(row)}" for row in _robot_reads()]
    largest = max(row.size_limit_bytes for row in _robot_publishes())
    return Permissions(
        publish=_sorted(own),
        subscribe=_sorted([OWN_INBOX, *(_readable(row) for row in _robot_hears())]),
        payload_bytes=largest + HEADER_ROOM_BYTES,
        subscriptions=ROBOT_SUBSCRIPTIONS,
    )


def _published(principal: Principal) -> list[str]:
    if principal is Principal.PROVISIONER:
        return [_EVERYTHING_ABOUT_STREAMS]
    subjects = [row.pattern for row in EVENTS if principal in row.producers]
    subjects += [row.pattern for row in REQUESTS if principal in row.callers]
    for row in (row for row in EVENTS if principal in row.readers):
        subjects += _read(row, account_of(principal))
    for consumer in (row for row in CONSUMERS if row.principal is principal):
        subjects += _pulled(consumer)
    return subjects


def _read(row: EventRow, account: Account) -> list[str]:
    """One last value; many at once; and which subjects there are, when they are too many."""
    stream = _stream(row)
    return [
        f"{_DIRECT_GET}.{stream.value}.{row.pattern}",
        f"{_DIRECT_GET}.{stream.value}",
        stream_info(account, stream),
        *([f"{_DIRECT_GET}.{row.history.value}"] if row.history else []),
    ]


def _pulled(consumer: ConsumerRow) -> list[str]:
    name = f"{consumer.stream.value}.{consumer.durable}"
    return [
        f"$JS.API.CONSUMER.MSG.NEXT.{name}",
        f"$JS.API.CONSUMER.INFO.{name}",
        f"$JS.ACK.{name}.>",
    ]


def _listened(principal: Principal) -> list[str]:
    return [row.pattern for row in EVENTS if principal in row.listeners]


def _subscriptions(principal: Principal) -> int:
    people = (Principal.OPERATOR, Principal.APPLICATION)
    return PEOPLE_SUBSCRIPTIONS if principal in people else UNLIMITED


def _robot_publishes() -> list[EventRow]:
    return [row for row in EVENTS if Principal.ROBOT in row.producers]


def _robot_reads() -> list[EventRow]:
    return [row for row in EVENTS if Principal.ROBOT in row.readers]


def _robot_hears() -> list[EventRow]:
    return [row for row in EVENTS if Principal.ROBOT in row.listeners]


def _robot_asks() -> list[RequestRow]:
    return [row for row in REQUESTS if Principal.ROBOT in row.callers]


def _own(subject: str) -> str:
    """The subject with the robot's own name in it, and no other open place."""
    if PLACEHOLDER.findall(subject) != ["robot_id"]:
        raise UnsafeRowError(
            f"robots use {subject}, which does not name exactly the robot itself. "
            "Give the row the one placeholder {robot_id}."
        )
    return PLACEHOLDER.sub(lambda _: OWN_NAME, subject)


def _readable(row: EventRow) -> str:
    """What robots may read the last value of, or hear: their own, or what is one for the whole fleet."""
    return _own(row.subject) if PLACEHOLDER.search(row.subject) else row.subject


def _stream(row: EventRow) -> StreamName:
    if row.stream is None:
        raise UnsafeRowError(f"{row.subject} has readers but no stream to read from.")
    return row.stream


def _sorted(subjects: list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))
