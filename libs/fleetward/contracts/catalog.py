"""The one catalog: every subject, stream, consumer and request of Fleetward stands here once.

Its pages lie in catalog_pages, bound here in their order. Streams, consumers, permissions, the
AsyncAPI document and docs/events.md are generated from it; a subject string anywhere else fails
the check.
"""

from __future__ import annotations

from functools import lru_cache

from fleetward.contracts.catalog_pages import (
    alerts,
    engines,
    models,
    recordings,
    robots,
    rollout_events,
    rollouts,
    segments,
    sites,
    telemetry,
)
from fleetward.contracts.catalog_pages.consumers import CONSUMERS
from fleetward.contracts.catalog_pages.requests import REQUESTS
from fleetward.contracts.catalog_pages.streams import STREAMS
from fleetward.contracts.errors import UnknownEventError
from fleetward.contracts.event import Event
from fleetward.contracts.rows import ConsumerRow, EventRow, Principal, RequestRow, StreamName

__all__ = (
    "CONSUMERS",
    "EVENTS",
    "REQUESTS",
    "STREAMS",
    "consumers_of",
    "copied_to",
    "events_in",
    "request_row_of",
    "row_of",
    "row_of_subject",
)

EVENTS: tuple[EventRow, ...] = (
    *models.EVENTS,
    *rollouts.EVENTS,
    *rollout_events.EVENTS,
    *sites.EVENTS,
    *robots.EVENTS,
    *telemetry.EVENTS,
    *alerts.EVENTS,
    *recordings.EVENTS,
    *segments.EVENTS,
    *engines.EVENTS,
)


@lru_cache(maxsize=4096)
def row_of(event: type[Event]) -> EventRow:
    """The row of an event's Struct; raises UnknownEventError."""
    for row in EVENTS:
        if row.event is event:
            return row
    raise UnknownEventError(
        f"{event.__name__} has no row in EVENTS; add one to a page of contracts/catalog_pages."
    )


@lru_cache(maxsize=4096)
def request_row_of(request: type[Event]) -> RequestRow:
    """The row of a request's Struct; raises UnknownEventError."""
    for row in REQUESTS:
        if row.request is request:
            return row
    raise UnknownEventError(
        f"{request.__name__} has no row in REQUESTS; add one to contracts/catalog_pages/requests.py."
    )


_ROW_OF_KIND = {row.kind: row for row in EVENTS}


def row_of_subject(subject: str) -> EventRow:
    """The row whose subject a concrete one is an instance of; raises UnknownEventError."""
    row = _ROW_OF_KIND.get(".".join(subject.split(".", 3)[:3]))
    if row is None:
        raise UnknownEventError(
            f"no row in EVENTS has the subject {subject}; it is not one of ours."
        )
    return row


def consumers_of(principal: Principal) -> tuple[ConsumerRow, ...]:
    """The durable consumers one principal pulls from."""
    return tuple(row for row in CONSUMERS if row.principal is principal)


def events_in(stream: StreamName) -> tuple[EventRow, ...]:
    """The rows kept in one stream."""
    return tuple(row for row in EVENTS if row.stream is stream)


def copied_to(stream: StreamName) -> tuple[EventRow, ...]:
    """The rows that one stream keeps copies of."""
    return tuple(row for row in EVENTS if row.history is stream)
