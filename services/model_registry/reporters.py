"""Believes a validation report only from whom the registry was told to believe it."""

from __future__ import annotations

from pathlib import Path

from fleetward.contracts.judgements import AttachReport
from fleetward.contracts.validation import REPORT_PURPOSE, ValidationReport
from fleetward.trust.signing import SignatureError, TrustedKeys
from model_registry.errors import ReportRefusedError


class Reporters:
    """The keys of simulators, benches and pipelines.

    With none given any operator's word counts, and what was signed is not believed to be: a
    signature nobody could check must not look like one.
    """

    def __init__(self, trusted: TrustedKeys | None) -> None:
        self._trusted = trusted

    @classmethod
    def load(cls, trust_dir: Path | None) -> Reporters:
        """From ``<trust_dir>/report.pub``; raises SigningKeyError when there is no key in it."""
        return cls(TrustedKeys.load(trust_dir) if trust_dir is not None else None)

    def verify(self, request: AttachReport, report: ValidationReport) -> None:
        """Raises ReportRefusedError when the report is not signed as it must be."""
        who = f"{report.kind} report by {report.reported_by}"
        if self._trusted is None:
            if request.signature:
                raise ReportRefusedError(
                    f"The {who} is signed, and this registry knows no reporter's key. Set "
                    "FLEETWARD_REPORT_TRUST_DIR to a directory with report.pub, or send it unsigned."
                )
            return
        try:
            self._trusted.verify(REPORT_PURPOSE, request.payload, request.key_id, request.signature)
        except SignatureError as error:
            raise ReportRefusedError(f"The {who} is not believed: {error}") from error
