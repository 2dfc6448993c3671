"""``fleetward events``: the catalog as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetward.cli.session import Json, show_json

if TYPE_CHECKING:
    from fleetward.contracts.rows import EventRow


def events(as_json: Json = False) -> None:
    """Every event: its subject, who publishes it, where it is kept, how often it comes."""
    from fleetward.cli.tables import show_table
    from fleetward.contracts.catalog import EVENTS

    if as_json:
        show_json([_plain(row) for row in EVENTS])
        return
    show_table(
        ["SUBJECT", "EVENT", "PRODUCERS", "STREAM", "RATE"],
        [
            [
                row.subject,
                row.event.__name__,
                ", ".join(producer.value for producer in row.producers),
                row.stream.value if row.stream else "(not kept)",
                row.rate,
            ]
            for row in EVENTS
        ],
        when_empty="The catalog is empty.",
    )


def _plain(row: EventRow) -> dict[str, object]:
    return {
        "subject": row.subject,
        "event": row.event.__name__,
        "producers": [producer.value for producer in row.producers],
        "stream": row.stream.value if row.stream else None,
        "rate": row.rate,
        "size_limit_bytes": row.size_limit_bytes,
        "readers": [reader.value for reader in row.readers],
        "listeners": [listener.value for listener in row.listeners],
    }
