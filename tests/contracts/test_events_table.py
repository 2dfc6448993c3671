"""The generated pages say what the catalog says, today."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fleetward.contracts.__main__ import write
from fleetward.contracts.catalog import CONSUMERS, EVENTS, REQUESTS, STREAMS, row_of
from fleetward.contracts.events_page import events_page, kept, retention, size, stream_row
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import ModelFellBack
from fleetward.contracts.rows import StreamName
from fleetward.contracts.schema import asyncapi

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["events.md", "asyncapi.json", "validation_report.schema.json"])
def test_page_is_not_stale(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    stored, fresh = ((folder / name).read_text("utf-8") for folder in (DOCS, tmp_path))
    assert stored == fresh, f"docs/{name} is stale: run python -m fleetward.contracts"


def test_every_event_stands_in_one_row_with_producer_rate_retention_and_limit() -> None:
    table = events_page().partition("## Every event")[2].partition("\n## ")[0]
    for row in EVENTS:
        (line,) = [
            line for line in table.splitlines() if line.startswith(f"| `{row.event.__name__}` ")
        ]
        cells = line.split(" | ")
        assert f"`{row.subject}`" in cells
        assert ", ".join(principal.value for principal in row.producers) in cells
        assert row.rate in cells
        assert kept(row) in cells
        assert cells[-1] == f"{size(row.size_limit_bytes)} |"


def test_page_lists_every_stream_consumer_and_request() -> None:
    page = events_page()
    names = [row.name.value for row in STREAMS] + [row.durable for row in CONSUMERS]
    names += [row.request.__name__ for row in REQUESTS]
    assert not [name for name in names if name not in page]


def test_sizes_and_ages_read_as_people_say_them() -> None:
    assert [size(limit) for limit in (1024, 16 * 1024, 4 * 1024**2, 1000)] == [
        "1 KiB",
        "16 KiB",
        "4 MiB",
        "1000 B",
    ]
    assert retention(None) == "not kept"
    assert retention(stream_row(StreamName.TELEMETRY)) == "1 day"
    assert retention(stream_row(StreamName.ROLLOUTS)) == "for ever, newest 64 a subject"
    assert kept(row_of(ModelRecord)) == "the newest"
    assert kept(row_of(ModelFellBack)) == "for ever, newest 64 a subject; copied to HISTORY"


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = json.loads(asyncapi())
    references = re.findall(r'"\$ref": ?"#/([^"]+)"', asyncapi())
    assert len(references) > len(EVENTS)
    for reference in set(references):
        node: Any = document
        for part in reference.split("/"):
            assert part in node, reference
            node = node[part]


def test_document_has_a_channel_per_event_with_its_parameters() -> None:
    document = json.loads(asyncapi())
    assert document["asyncapi"] == "3.0.0"
    for row in EVENTS:
        channel = document["channels"][row.event.__name__]
        assert channel["address"] == row.subject
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", row.subject))
        assert channel["x-rate"] == row.rate
    actions = {operation["action"] for operation in document["operations"].values()}
    assert actions == {"send", "receive"}


def test_schemas_describe_the_fields() -> None:
    schemas = json.loads(asyncapi())["components"]["schemas"]
    assert "generation" in schemas["ModelActivated"]["required"]
    assert schemas["ModelActivated"]["properties"]["robot_id"]["pattern"]
    assert "stamp" not in schemas["ModelActivated"]["properties"]
