"""A private key on a disk that may be lost: readable with its passphrase alone.

Argon2id (RFC 9106) makes a key of the passphrase, XSalsa20-Poly1305 (libsodium's secretbox) seals
the private half with it. What it cost to make the key is written beside it, within bounds.
"""

from __future__ import annotations

import struct

from nacl import pwhash, secret, utils
from nacl.exceptions import CryptoError

from fleetward.contracts.errors import FleetwardError

HEAD = "fleetward-sealed-1"
OPERATIONS = pwhash.argon2id.OPSLIMIT_MODERATE
MEMORY_BYTES = pwhash.argon2id.MEMLIMIT_MODERATE
"""256 MiB and some half a second for each guess."""
MAX_OPERATIONS = 16
MAX_MEMORY_BYTES = 1024**3

_COST = struct.Struct("<IQ")


class SealedKeyError(FleetwardError):
    """The passphrase is wrong, or what it shall open is no sealed key."""


def is_sealed(text: str) -> bool:
    """Whether a key file's text needs a passphrase."""
    return text.startswith(HEAD)


def sealed(private: bytes, passphrase: bytes) -> str:
    """The text of a key file, one line; raises SealedKeyError for an empty passphrase."""
    salt = utils.random(pwhash.argon2id.SALTBYTES)
    box = secret.SecretBox(_key(passphrase, salt, OPERATIONS, MEMORY_BYTES))
    cost = _COST.pack(OPERATIONS, MEMORY_BYTES)
    return f"{HEAD} {(cost + salt + box.encrypt(private)).hex()}"


def unsealed(text: str, passphrase: bytes) -> bytes:
    """The private half; raises SealedKeyError."""
    try:
        content = bytes.fromhex(text.removeprefix(HEAD))
        operations, memory_bytes = _COST.unpack_from(content)
    except (ValueError, struct.error) as error:
        raise SealedKeyError("it is no sealed key, or cut off. Use another copy.") from error
    if operations > MAX_OPERATIONS or memory_bytes > MAX_MEMORY_BYTES:
        raise SealedKeyError("opening it would take more than any key of ours. Use another copy.")
    salt_end = _COST.size + pwhash.argon2id.SALTBYTES
    try:
        key = _key(passphrase, content[_COST.size : salt_end], operations, memory_bytes)
        return secret.SecretBox(key).decrypt(content[salt_end:])
    except (CryptoError, ValueError) as error:
        raise SealedKeyError("the passphrase is wrong, or the file was changed.") from error


def _key(passphrase: bytes, salt: bytes, operations: int, memory_bytes: int) -> bytes:
    if not passphrase:
        raise SealedKeyError("a passphrase cannot be empty.")
    return pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE, passphrase, salt, opslimit=operations, memlimit=memory_bytes
    )
