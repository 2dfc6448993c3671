"""What a simulator, a hardware bench or a pipeline reports of a model that it tried.

A report is one JSON document of at most 48 KiB; its schema is docs/validation_report.schema.json.
It may be signed: Ed25519 (RFC 8032) over ``report``, a NUL and the document's exact bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fleetward.contracts.curation import MAX_NAME_CHARS
from fleetward.contracts.event import UtcTime
from fleetward.contracts.ids import Digest, ModelName, Version

REPORT_PURPOSE = "report"
MAX_METRICS = 256

Kind = Annotated[str, Meta(pattern=rf"\A[a-z0-9][a-z0-9_-]{{0,{MAX_NAME_CHARS - 1}}}\Z")]
Words = Annotated[str, Meta(max_length=2000)]


class ValidationReport(Struct, frozen=True, kw_only=True):
    """How one version did. Unknown fields are kept in the document and not looked at.

    kind: what tried it, for example ``sim`` or ``bench``; gates name it as ``report:sim``.
    digest: of the bytes that were tried; a report about other bytes is refused.
    metrics: numbers with their unit in the name, for example ``latency_ms_p99``.
    """

    kind: Kind
    name: ModelName
    version: Version
    digest: Digest
    passed: bool
    reported_by: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    started_at: UtcTime
    ended_at: UtcTime
    tool: Words = ""
    environment: Words = ""
    scenarios: int = 0
    scenarios_failed: int = 0
    metrics: Annotated[dict[str, float], Meta(max_length=MAX_METRICS)] = {}
    notes: Words = ""


def validation_report_schema() -> str:
    """The JSON Schema (2020-12) of a report, indented; ECMA writes the ends of a text otherwise."""
    schema = msgspec.json.schema(ValidationReport)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    text = msgspec.json.format(msgspec.json.encode(whole, order="sorted"), indent=2).decode()
    return text.replace(r"\\A", "^").replace(r"\\Z", "$") + "\n"
