"""A sealed key opens with its passphrase, as it was, and for nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetward.trust.sealed_keys import HEAD, SealedKeyError, sealed, unsealed
from fleetward.trust.signing import SigningKey, SigningKeyError

PRIVATE = bytes(range(32))


def test_a_changed_or_cut_off_file_is_refused_and_so_is_an_expensive_one() -> None:
    text = sealed(PRIVATE, b"open")
    assert unsealed(text, b"open") == PRIVATE
    content = bytes.fromhex(text.removeprefix(HEAD))
    for changed in (
        content[:-1] + bytes([content[-1] ^ 1]),
        content[:20],
        content[:5],
        b"\xff" * 12 + content[12:],
    ):
        with pytest.raises(SealedKeyError):
            unsealed(f"{HEAD} {changed.hex()}", b"open")
    with pytest.raises(SealedKeyError, match="no sealed key"):
        unsealed(f"{HEAD} nonsense", b"open")


def test_no_key_is_sealed_with_nothing() -> None:
    with pytest.raises(SealedKeyError, match="cannot be empty"):
        sealed(PRIVATE, b"")


def test_a_service_that_meets_a_sealed_key_says_what_to_do(tmp_path: Path) -> None:
    key = SigningKey.create(tmp_path / "a.key", b"open")
    with pytest.raises(SigningKeyError, match="keys create --no-passphrase"):
        SigningKey.load(tmp_path / "a.key")
    assert SigningKey.load(tmp_path / "a.key", lambda path: b"open").key_id == key.key_id
