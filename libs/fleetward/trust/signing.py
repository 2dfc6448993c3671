"""A manifest or a target is believed only under the key of the service that may issue it.

Ed25519 (RFC 8032) over ``purpose + NUL + payload``, so that a signature made for one purpose is
worthless for another. A key is trusted for its own purpose only: its file is ``<purpose>.pub``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as Ed25519Key
from nacl.signing import VerifyKey

from fleetward.contracts.errors import FleetwardError
from fleetward.trust.sealed_keys import SealedKeyError, is_sealed, sealed, unsealed

MANIFEST = "manifest"
"""Signed by the model registry: exactly which bytes are a version."""
TARGET = "target"
"""Signed by the rollout coordinator: what one robot shall serve."""
RULE_SET = "rule-set"
"""Signed by alerting: the alert rules by which robots judge themselves."""
FRESHNESS = "freshness"
"""Signed by the model registry with its timestamp key: the answer to a question asked just now."""

_KEY_BYTES = 32


class SigningKeyError(FleetwardError):
    """A key file is missing, unreadable, or open to others."""


class SignatureError(FleetwardError):
    """Bytes are not what a trusted key signed for this purpose."""


class Signature(Struct, frozen=True):
    """key_id: 16 hex digits naming the key. signature: Ed25519, 64 bytes."""

    key_id: str
    signature: bytes


class SigningKey:
    """The private half; lives in one service and in a file that only its user may read."""

    def __init__(self, key: Ed25519Key) -> None:
        self._key = key
        self.public_bytes: bytes = bytes(key.verify_key)
        self.key_id = key_id_of(self.public_bytes)

    @classmethod
    def create(cls, path: Path, passphrase: bytes | None = None) -> SigningKey:
        """A new key, written to ``path`` (0600): 64 hex digits, or sealed with a passphrase.

        Raises SigningKeyError if the file exists.
        """
        key = Ed25519Key.generate()
        text = bytes(key).hex() if passphrase is None else sealed(bytes(key), passphrase)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise SigningKeyError(
                f"{path} already holds a signing key. Load it, or move it away first."
            ) from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    @classmethod
    def load(cls, path: Path, passphrase: Callable[[Path], bytes] | None = None) -> SigningKey:
        """The key in ``path``; ``passphrase`` is asked for what opens a sealed one.

        Raises SigningKeyError when it is missing, broken, readable by others or cannot be opened.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SigningKeyError(
                f"the signing key {path} cannot be read: {_why(error)}."
            ) from error
        if mode & 0o077:
            raise SigningKeyError(
                f"the signing key {path} is open to others (mode {mode:o}). Run: chmod 600 {path}"
            )
        if is_sealed(text):
            text = _opened(path, text, passphrase)
        return cls(Ed25519Key(_key_bytes(path, text)))

    def sign(self, purpose: str, payload: bytes) -> Signature:
        """The signature of ``payload`` for one purpose, and no other."""
        signed = self._key.sign(_message(purpose, payload))
        return Signature(self.key_id, signed.signature)

    def sign_metadata(self, payload: bytes) -> bytes:
        """64 bytes of signature over TUF metadata, which is JSON and so never a purpose's message."""
        return self._key.sign(payload).signature

    def publish(self, trust_dir: Path, purpose: str) -> Path:
        """Write the public half where verifiers look for it; returns the file."""
        path = trust_dir / f"{purpose}.pub"
        partial = path.with_suffix(".partial")
        partial.write_text(self.public_bytes.hex() + "\n", encoding="ascii")
        partial.replace(path)
        return path


class Verifier(Protocol):
    """Whoever knows which keys count today."""

    def verify(self, purpose: str, payload: bytes, key_id: str, signature: bytes) -> None:
        """Raises SignatureError."""


class TrustedKeys:
    """The public halves a verifier believes, one set per purpose."""

    def __init__(self, keys: Mapping[str, Mapping[str, VerifyKey]]) -> None:
        self._keys = keys

    @classmethod
    def load(cls, trust_dir: Path) -> TrustedKeys:
        """Every ``<purpose>.pub`` in a directory: one key per line, 64 hex digits, ``#`` comments.

        Two lines are two trusted keys, which is how a key is rotated. Raises SigningKeyError.
        """
        files = sorted(trust_dir.glob("*.pub"))
        if not files:
            raise SigningKeyError(
                f"no trusted key (*.pub) in {trust_dir}. Copy the fleet's trust directory there."
            )
        return cls({path.stem: _public_keys(path) for path in files})

    @classmethod
    def of(cls, keys: Mapping[str, Sequence[bytes]]) -> TrustedKeys:
        """Purpose -> public keys of 32 bytes each."""
        return cls(
            {
                purpose: {key_id_of(public): VerifyKey(public) for public in publics}
                for purpose, publics in keys.items()
            }
        )

    def knows(self, purpose: str, key_id: str) -> bool:
        """Whether a key is trusted for ``purpose`` today."""
        return key_id in self._keys.get(purpose, {})

    def verify(self, purpose: str, payload: bytes, key_id: str, signature: bytes) -> None:
        """Return when a key trusted for ``purpose`` signed ``payload``; raises SignatureError."""
        key = self._keys.get(purpose, {}).get(key_id)
        if key is None:
            raise SignatureError(
                f"key {key_id!r} is not trusted for {purpose!r}. "
                "If the key was rotated, renew the trust directory."
            )
        try:
            key.verify(_message(purpose, payload), signature)
        except (BadSignatureError, ValueError) as error:
            raise SignatureError(
                f"the {purpose} of {len(payload)} bytes is not what key {key_id} signed. "
                "Refuse it and fetch it again."
            ) from error


def read_public(path: Path) -> bytes:
    """The public key in a ``.pub`` file of one line; raises SigningKeyError."""
    try:
        return _key_bytes(path, path.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise SigningKeyError(f"the public key {path} cannot be read: {_why(error)}.") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    """Without the path, which is named already."""
    return str(error.strerror) if isinstance(error, OSError) else "it is not text"


def key_id_of(public_bytes: bytes) -> str:
    """The name of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_bytes).hexdigest()[:16]


def _message(purpose: str, payload: bytes) -> bytes:
    return purpose.encode() + b"\0" + payload


def _public_keys(path: Path) -> dict[str, VerifyKey]:
    lines = (line.strip() for line in path.read_text(encoding="ascii").splitlines())
    raw = [_key_bytes(path, line) for line in lines if line and not line.startswith("#")]
    return {key_id_of(public): VerifyKey(public) for public in raw}


def _opened(path: Path, text: str, passphrase: Callable[[Path], bytes] | None) -> str:
    if passphrase is None:
        raise SigningKeyError(
            f"the signing key {path} is sealed with a passphrase. A service reads plain keys only: "
            "make it one with fleetward keys create --no-passphrase."
        )
    try:
        return unsealed(text, passphrase(path)).hex()
    except SealedKeyError as error:
        raise SigningKeyError(f"the signing key {path} cannot be opened: {error}") from error


def _key_bytes(path: Path, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError as error:
        raise SigningKeyError(f"{path} does not hold 64 hex digits.") from error
    if len(key) != _KEY_BYTES:
        raise SigningKeyError(f"{path} holds {len(key)} bytes; an Ed25519 key has {_KEY_BYTES}.")
    return key
