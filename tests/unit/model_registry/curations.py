"""What is known of a version, as the rules about it are given it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from fleetward.contracts.curation import (
    NONE_WITHDRAWN,
    ModelCuration,
    ReportSummary,
    Withdrawals,
)
from fleetward.contracts.ids import model_name, version
from fleetward.contracts.judgements import AttachReport
from model_registry.judgement import Known
from tests.unit.model_registry.candidates import NOW, digest_of

DETECTOR = model_name("detector")
FIRST = version("1.0")


def curation() -> ModelCuration:
    """``detector:1.0`` as it stands right after its publication."""
    return ModelCuration(
        name=DETECTOR, release=1, version=FIRST, digest=digest_of("1.0"), inspected_at=NOW
    )


def known(held: ModelCuration | None = None, withdrawals: Withdrawals = NONE_WITHDRAWN) -> Known:
    """The same, as it is loaded."""
    return Known(curation=held or curation(), withdrawals=withdrawals)


def with_report(held: ModelCuration, kind: str, *, passed: bool) -> ModelCuration:
    """The curation with one more report."""
    report = ReportSummary(
        kind=kind, passed=passed, reported_by="gazebo", digest=digest_of(kind), at=NOW
    )
    return structs.replace(held, reports=(*held.reports, report))


def report_request(**changed: Any) -> AttachReport:  # noqa: ANN401 (whatever a reporter may write)
    """A report that passed, with some fields changed."""
    said = {
        "kind": "sim",
        "name": "detector",
        "version": "1.0",
        "digest": digest_of("1.0"),
        "passed": True,
        "reported_by": "gazebo",
        "started_at": "2026-01-02T03:00:00Z",
        "ended_at": "2026-01-02T03:04:00+00:00",
        "metrics": {"latency_ms_p99": 31.5},
        "seed": 7,
        **changed,
    }
    return AttachReport(name=DETECTOR, version=FIRST, payload=msgspec.json.encode(said))
