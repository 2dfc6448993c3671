"""Whose reports count: with keys given only theirs, without any key anybody's unsigned word."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from fleetward.contracts.judgements import AttachReport
from fleetward.contracts.validation import REPORT_PURPOSE
from fleetward.trust.signing import MANIFEST, SigningKey
from model_registry.errors import ReportRefusedError
from model_registry.reporters import Reporters
from model_registry.reports import readable
from tests.unit.model_registry.curations import report_request


def signed(key: SigningKey, purpose: str = REPORT_PURPOSE) -> AttachReport:
    asked = report_request()
    signature = key.sign(purpose, asked.payload)
    return structs.replace(asked, key_id=signature.key_id, signature=signature.signature)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """The key of a simulator that the registry trusts."""
    made = SigningKey.create(tmp_path / "report.key")
    (tmp_path / "trust").mkdir()
    made.publish(tmp_path / "trust", REPORT_PURPOSE)
    return made


def verify(reporters: Reporters, asked: AttachReport) -> None:
    reporters.verify(asked, readable(asked))


def test_a_trusted_simulator_is_believed(key: SigningKey, tmp_path: Path) -> None:
    verify(Reporters.load(tmp_path / "trust"), signed(key))


def test_strangers_other_purposes_and_changed_words_are_not(
    key: SigningKey, tmp_path: Path
) -> None:
    reporters = Reporters.load(tmp_path / "trust")
    stranger = SigningKey.create(tmp_path / "stranger.key")
    changed = structs.replace(signed(key), payload=report_request(passed=False).payload)
    for asked in (report_request(), signed(stranger), signed(key, MANIFEST), changed):
        with pytest.raises(ReportRefusedError, match="is not believed"):
            verify(reporters, asked)


def test_without_keys_an_unsigned_report_counts_and_a_signed_one_claims_too_much(
    key: SigningKey,
) -> None:
    verify(Reporters.load(None), report_request())
    with pytest.raises(ReportRefusedError, match="knows no reporter's key"):
        verify(Reporters.load(None), signed(key))
