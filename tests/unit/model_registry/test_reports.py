"""A report counts for the bytes it is about, and the newest of its kind decides."""

from __future__ import annotations

from typing import Any

import pytest

from fleetward.contracts.curation import MAX_REPORT_KINDS
from fleetward.contracts.judgements import MAX_REPORT_BYTES, AttachReport, ValidationReported
from model_registry.errors import ReportRefusedError
from model_registry.reports import attach
from tests.unit.model_registry.candidates import NOW, digest_of
from tests.unit.model_registry.curations import (
    DETECTOR,
    FIRST,
    curation,
    known,
    report_request,
    with_report,
)


def test_a_report_counts_and_is_kept_to_the_byte() -> None:
    asked = report_request()

    judged = attach(known(), asked, NOW)

    (summary,) = judged.curation.reports
    assert (summary.kind, summary.passed, summary.reported_by) == ("sim", True, "gazebo")
    (fact,) = judged.facts
    assert isinstance(fact, ValidationReported)
    assert fact.payload == asked.payload
    assert attach(known(judged.curation), asked, NOW).facts == ()


def test_a_newer_report_of_a_kind_takes_the_place_of_the_older_one() -> None:
    held = with_report(with_report(curation(), "sim", passed=True), "bench", passed=True)

    judged = attach(known(held), report_request(passed=False), NOW)

    outcomes = {report.kind: report.passed for report in judged.curation.reports}
    assert outcomes == {"bench": True, "sim": False}


@pytest.mark.parametrize(
    "changed",
    [{"digest": digest_of("2.0")}, {"version": "1.1"}, {"name": "other"}],
    ids=["digest", "version", "name"],
)
def test_a_report_about_something_else_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(ReportRefusedError, match="Try these very bytes"):
        attach(known(), report_request(**changed), NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "../sim"},
        {"passed": "yes"},
        {"started_at": "2026-01-02T03:00:00"},
        {"metrics": {str(number): 1.0 for number in range(300)}},
        {"notes": "x" * 3000},
        {"notes": "x" * MAX_REPORT_BYTES},
        {"digest": None},
    ],
    ids=["kind", "passed", "no_zone", "metrics", "notes", "bytes", "no_digest"],
)
def test_what_is_no_report_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ReportRefusedError):
        attach(known(), report_request(**changed), NOW)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[" * 40_000, b"null"])
def test_noise_is_refused(payload: bytes) -> None:
    with pytest.raises(ReportRefusedError, match="is not one"):
        attach(known(), AttachReport(name=DETECTOR, version=FIRST, payload=payload), NOW)


def test_kinds_are_bounded() -> None:
    held = curation()
    for number in range(MAX_REPORT_KINDS):
        held = with_report(held, f"kind-{number}", passed=True)
    with pytest.raises(ReportRefusedError, match="the most"):
        attach(known(held), report_request(), NOW)
