"""A signature holds for its bytes, its purpose and its key, and for nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey as Ed25519Key

from fleetward.trust.signing import (
    MANIFEST,
    TARGET,
    SignatureError,
    SigningKey,
    SigningKeyError,
    TrustedKeys,
)

PAYLOAD = b"what is signed"
_FIXED = Ed25519Key(b"s" * 32)


@pytest.fixture
def registry(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "registry.key")


@pytest.fixture
def coordinator(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "coordinator.key")


@pytest.fixture
def trusted(tmp_path: Path, registry: SigningKey, coordinator: SigningKey) -> TrustedKeys:
    trust_dir = tmp_path / "trust"
    trust_dir.mkdir()
    registry.publish(trust_dir, MANIFEST)
    coordinator.publish(trust_dir, TARGET)
    return TrustedKeys.load(trust_dir)


def test_what_a_trusted_key_signed_is_believed(trusted: TrustedKeys, registry: SigningKey) -> None:
    made = registry.sign(MANIFEST, PAYLOAD)
    assert len(made.signature) == 64
    trusted.verify(MANIFEST, PAYLOAD, made.key_id, made.signature)


def test_changed_bytes_are_refused(trusted: TrustedKeys, registry: SigningKey) -> None:
    made = registry.sign(MANIFEST, PAYLOAD)
    with pytest.raises(SignatureError, match="is not what key"):
        trusted.verify(MANIFEST, PAYLOAD + b".", made.key_id, made.signature)


def test_signature_for_one_purpose_is_worthless_for_another(
    trusted: TrustedKeys, coordinator: SigningKey
) -> None:
    made = coordinator.sign(MANIFEST, PAYLOAD)
    with pytest.raises(SignatureError):
        trusted.verify(TARGET, PAYLOAD, made.key_id, made.signature)


def test_key_of_the_coordinator_cannot_vouch_for_a_model(
    trusted: TrustedKeys, coordinator: SigningKey
) -> None:
    made = coordinator.sign(MANIFEST, PAYLOAD)
    with pytest.raises(SignatureError, match="is not trusted for 'manifest'"):
        trusted.verify(MANIFEST, PAYLOAD, made.key_id, made.signature)


def test_purpose_and_payload_cannot_be_shifted_into_each_other(
    trusted: TrustedKeys, registry: SigningKey
) -> None:
    made = registry.sign("mani", b"fest" + PAYLOAD)
    with pytest.raises(SignatureError):
        trusted.verify(MANIFEST, PAYLOAD, made.key_id, made.signature)


def test_strangers_key_is_refused_even_under_a_trusted_name(
    trusted: TrustedKeys, registry: SigningKey, tmp_path: Path
) -> None:
    stranger = SigningKey.create(tmp_path / "stranger.key")
    with pytest.raises(SignatureError):
        trusted.verify(
            MANIFEST, PAYLOAD, registry.key_id, stranger.sign(MANIFEST, PAYLOAD).signature
        )


@given(signature=st.binary(max_size=80))
def test_bytes_that_are_no_signature_are_refused(signature: bytes) -> None:
    key = SigningKey(_FIXED)
    trusted = TrustedKeys({MANIFEST: {key.key_id: _FIXED.verify_key}})
    with pytest.raises(SignatureError):
        trusted.verify(MANIFEST, PAYLOAD, key.key_id, signature)


def test_rotated_key_is_believed_beside_the_old_one(
    tmp_path: Path, registry: SigningKey, coordinator: SigningKey
) -> None:
    (tmp_path / "manifest.pub").write_text(
        f"# old\n{registry.public_bytes.hex()}\n{coordinator.public_bytes.hex()}\n"
    )
    trusted = TrustedKeys.load(tmp_path)
    for key in (registry, coordinator):
        made = key.sign(MANIFEST, PAYLOAD)
        trusted.verify(MANIFEST, PAYLOAD, made.key_id, made.signature)


def test_key_survives_on_disk_for_its_user_only(tmp_path: Path, registry: SigningKey) -> None:
    path = tmp_path / "registry.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).key_id == registry.key_id


def test_existing_key_is_never_overwritten(tmp_path: Path, registry: SigningKey) -> None:
    with pytest.raises(SigningKeyError, match="already holds a signing key"):
        SigningKey.create(tmp_path / "registry.key")
    assert SigningKey.load(tmp_path / "registry.key").key_id == registry.key_id


def test_key_open_to_others_is_refused(tmp_path: Path, registry: SigningKey) -> None:
    (tmp_path / "registry.key").chmod(0o644)
    with pytest.raises(SigningKeyError, match="chmod 600"):
        SigningKey.load(tmp_path / "registry.key")


@pytest.mark.parametrize("text", ["", "not hex", "ab" * 31, "ab" * 33])
def test_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SigningKeyError, match=r"broken\.key"):
        SigningKey.load(path)


def test_empty_trust_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match="no trusted key"):
        TrustedKeys.load(tmp_path)
