"""Ed25519 keys as python-tuf wants them, on libsodium.

python-tuf verifies Ed25519 in pure Python where the ``cryptography`` package is missing: 14 ms a
signature, with Python's lock held, on a robot that serves frames. PyNaCl is there already.
A key's id is the SHA-256 of its bytes and nothing else, so that one key under two ids, which
would count twice towards a threshold, cannot be written down.
"""

from __future__ import annotations

import hashlib
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import (
    KEY_FOR_TYPE_AND_SCHEME,
    Key,
    SecretsHandler,
    Signature,
    Signer,
)

from fleetward.trust.signing import SigningKey

_ED25519 = "ed25519"
_PUBLIC_BYTES = 32


class Ed25519PublicKey(Key):
    """The public half, as it stands in metadata."""

    @classmethod
    def of(cls, public_bytes: bytes) -> Ed25519PublicKey:
        """The key of 32 raw bytes; raises ValueError for another length."""
        if len(public_bytes) != _PUBLIC_BYTES:
            raise ValueError(f"an Ed25519 key has {_PUBLIC_BYTES} bytes, not {len(public_bytes)}")
        return cls(
            metadata_key_id(public_bytes), _ED25519, _ED25519, {"public": public_bytes.hex()}
        )

    @property
    def public_bytes(self) -> bytes:
        """32 raw bytes."""
        return bytes.fromhex(self.keyval["public"])

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> Ed25519PublicKey:
        """Raises ValueError when ``keyid`` is not the key's own id."""
        keytype, scheme, keyval = cls._from_dict(key_dict)
        key = cls(keyid, keytype, scheme, keyval, key_dict)
        if len(key.public_bytes) != _PUBLIC_BYTES or keyid != metadata_key_id(key.public_bytes):
            raise ValueError(f"key {keyid} is not named by the SHA-256 of its 32 bytes")
        return key

    def to_dict(self) -> dict[str, Any]:
        """As it is written into metadata."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Raises UnverifiedSignatureError."""
        try:
            raw = bytes.fromhex(signature.signature)
            VerifyKey(self.public_bytes).verify(data, raw)
        except (BadSignatureError, ValueError, TypeError) as error:
            raise UnverifiedSignatureError(f"not signed by {self.keyid}") from error


class MetadataSigner(Signer):
    """Signs metadata with one of our key files."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._public_key = Ed25519PublicKey.of(key.public_bytes)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """Whose signatures these are."""
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        """The signature over exactly these bytes."""
        return Signature(self._public_key.keyid, self._key.sign_metadata(payload).hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> MetadataSigner:
        """Not offered: keys are files, opened by whoever may."""
        raise NotImplementedError("load a SigningKey and pass it in")


def metadata_key_id(public_bytes: bytes) -> str:
    """The name of a key in metadata: SHA-256 of its bytes, 64 hex digits."""
    return hashlib.sha256(public_bytes).hexdigest()


def use_libsodium() -> None:
    """Let python-tuf read Ed25519 keys as ours; harmless to repeat."""
    KEY_FOR_TYPE_AND_SCHEME[(_ED25519, _ED25519)] = Ed25519PublicKey
