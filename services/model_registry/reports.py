"""Decides whether a validation report counts for a version, and keeps the newest of each kind."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
from msgspec import structs

from fleetward.contracts.curation import MAX_REPORT_KINDS, ReportSummary
from fleetward.contracts.ids import Digest
from fleetward.contracts.judgements import MAX_REPORT_BYTES, AttachReport, ValidationReported
from fleetward.contracts.validation import ValidationReport
from model_registry.errors import ReportRefusedError
from model_registry.judgement import Judgement, Known, refuse_withdrawn


def readable(request: AttachReport) -> ValidationReport:
    """The report in a request; raises ReportRefusedError."""
    if len(request.payload) > MAX_REPORT_BYTES:
        raise ReportRefusedError(
            f"The report is {len(request.payload)} bytes, its limit is {MAX_REPORT_BYTES}. Keep "
            "logs elsewhere and name them in its notes."
        )
    try:
        return msgspec.json.decode(request.payload, type=ValidationReport)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ReportRefusedError(
            f"The report is not one ({error}). docs/validation_report.schema.json says what it is."
        ) from error


def attach(known: Known, request: AttachReport, now: datetime) -> Judgement:
    """Let a report count, if it is about exactly these bytes; the newest of a kind decides.

    Raises ReportRefusedError, WithdrawnError.
    """
    curation, report = known.curation, readable(request)
    refuse_withdrawn(known.withdrawals, curation.digest, f"{request.name}:{request.version}")
    if (report.name, report.version, report.digest) != (
        curation.name,
        curation.version,
        curation.digest,
    ):
        raise ReportRefusedError(
            f"The report is about {report.name}:{report.version} ({report.digest}), the version is "
            f"{curation.name}:{curation.version} ({curation.digest}). Try these very bytes."
        )
    summary = _summary(report, request, now)
    others = tuple(held for held in curation.reports if held.kind != report.kind)
    if len(others) >= MAX_REPORT_KINDS:
        raise ReportRefusedError(
            f"{curation.name}:{curation.version} has reports of {MAX_REPORT_KINDS} kinds, the most "
            "it may have. Report under one of those."
        )
    if summary in curation.reports:
        return Judgement(curation=curation)
    return Judgement(
        curation=structs.replace(curation, reports=(*others, summary)),
        facts=(reported(request, report, now),),
    )


def reported(request: AttachReport, report: ValidationReport, now: datetime) -> ValidationReported:
    """The fact that ``request`` was granted."""
    return ValidationReported(
        name=request.name,
        version=request.version,
        digest=report.digest,
        kind=report.kind,
        passed=report.passed,
        payload=request.payload,
        key_id=request.key_id,
        signature=request.signature,
        reported_at=now,
    )


def _summary(report: ValidationReport, request: AttachReport, now: datetime) -> ReportSummary:
    return ReportSummary(
        kind=report.kind,
        passed=report.passed,
        reported_by=report.reported_by,
        digest=Digest(f"sha256:{hashlib.sha256(request.payload).hexdigest()}"),
        key_id=request.key_id,
        at=now,
    )
