"""The catalog as one page for people: every event, its producer and its rate at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleetward.contracts.catalog import CONSUMERS, EVENTS, REQUESTS, STREAMS
from fleetward.contracts.event import Event
from fleetward.contracts.rows import DAY_S, EventRow, Principal, StreamName, StreamRow
from fleetward.contracts.signals import SIGNALS

_KIB = 1024
_HEAD = """\
# Events

Everything the services, robots and people of Fleetward say to each other: {events} events in
{streams} streams, {requests} requests. Payloads are msgpack maps of the named Structs; their
fields are in [asyncapi.json](asyncapi.json). Written by `python -m fleetward.contracts` from
`libs/fleetward/contracts/catalog.py`; change it there.
"""


def events_page() -> str:
    """The page as Markdown."""
    head = _HEAD.format(events=len(EVENTS), streams=len(STREAMS), requests=len(REQUESTS))
    return "\n".join(
        (head, _events(), _meanings(), _streams(), _consumers(), _requests(), _signals())
    )


def retention(row: StreamRow | None) -> str:
    """How long a fact is kept, in words."""
    if row is None:
        return "not kept"
    days = row.max_age_s / DAY_S
    age = "for ever" if days == 0 else "1 day" if days == 1 else f"{days:g} days"
    newest = row.max_msgs_per_subject
    return f"{age}, newest {newest} a subject" if newest > 0 else age


def kept(row: EventRow) -> str:
    """How long one fact of a stream is kept, in words."""
    here = "the newest" if row.newest_only else retention(stream_row(row.stream))
    return f"{here}; copied to {row.history.value}" if row.history else here


def first_line(event: type[Event]) -> str:
    """What an event means: its docstring's first line."""
    return (event.__doc__ or "").strip().splitlines()[0]


def size(limit_bytes: int) -> str:
    """A size in the largest unit that leaves it whole."""
    for unit, scale in (("GiB", _KIB**3), ("MiB", _KIB**2), ("KiB", _KIB)):
        if limit_bytes % scale == 0:
            return f"{limit_bytes // scale} {unit}"
    return f"{limit_bytes} B"


def stream_row(name: StreamName | None) -> StreamRow | None:
    """The row of a stream."""
    return next((row for row in STREAMS if row.name is name), None)


def _events() -> str:
    titles = ("Event", "Subject", "Producer", "Rate", "Stream", "Retention", "Size limit")
    return "## Every event\n\n" + _table(titles, (_event(row) for row in EVENTS))


def _event(row: EventRow) -> tuple[str, ...]:
    return (
        f"`{row.event.__name__}`",
        f"`{row.subject}`",
        _names(row.producers),
        row.rate,
        row.stream.value if row.stream else "none (live only)",
        kept(row),
        size(row.size_limit_bytes),
    )


def _meanings() -> str:
    titles = ("Event", "Meaning", "Last value read by", "Heard live by")
    rows = (
        (
            f"`{row.event.__name__}`",
            first_line(row.event),
            _names(row.readers),
            _names(row.listeners),
        )
        for row in EVENTS
    )
    note = (
        "A robot reads, hears and publishes on its own subjects only. On a stream that takes "
        "atomic batches a live message may be of a batch that the stream then refuses: it means "
        '"look now", and the last value is what counts.\n\n'
    )
    return "## What they mean, and for whom\n\n" + note + _table(titles, rows)


def _streams() -> str:
    titles = ("Stream", "Meaning", "Retention", "At most", "Duplicates found within", "Writes")
    rows = (
        (
            row.name.value,
            row.meaning,
            retention(row),
            size(row.max_bytes),
            f"{row.duplicate_window_s:g} s",
            _writes(row),
        )
        for row in STREAMS
    )
    return "## Streams\n\n" + _table(titles, rows)


def _writes(row: StreamRow) -> str:
    if row.copies_from is not None:
        return f"copied from {row.copies_from.value} by the server"
    words = ["atomic batches"] if row.atomic else []
    words.append("acknowledged before fsync" if row.persist_async else "acknowledged after fsync")
    words += ["refused when full"] if row.refuse_when_full else []
    return ", ".join(words)


def _consumers() -> str:
    titles = ("Consumer", "Service", "Stream", "Events", "Delivered at most", "In flight at most")
    rows = (
        (
            f"`{row.durable}`",
            row.principal.value,
            row.stream.value,
            ", ".join(f"`{event.__name__}`" for event in row.events),
            f"{row.max_deliver} times" if row.max_deliver > 0 else "until acknowledged",
            str(row.max_ack_pending),
        )
        for row in CONSUMERS
    )
    return "## Durable consumers\n\n" + _table(titles, rows)


def _requests() -> str:
    titles = ("Request", "Subject", "Reply", "Asked by", "Answered by", "Within")
    rows = (
        (
            f"`{row.request.__name__}`",
            f"`{row.subject}`",
            f"`{row.reply.__name__}`",
            _names(row.callers),
            row.responder.value,
            f"{row.timeout_s:g} s",
        )
        for row in REQUESTS
    )
    return "## Requests\n\n" + _table(titles, rows)


def _signals() -> str:
    titles = ("Signal", "Unit", "Family", "Meaning", "In rules")
    rows = (
        (f"`{each.name}`", each.unit, each.family, each.meaning, f"`{each.metric}`")
        for each in SIGNALS
    )
    note = (
        "What telemetry frames carry, by OpenTelemetry name and UCUM unit. Alerting rules say the name in the "
        "last column; a robot's own program may report others.\n\n"
    )
    return "## Signals\n\n" + note + _table(titles, rows)


def _names(principals: Sequence[Principal]) -> str:
    return ", ".join(principal.value for principal in principals) or "nobody"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
