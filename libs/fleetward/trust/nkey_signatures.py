"""What a robot signed with the key of its credentials, checked by the public nkey alone.

The same key answers the bus's challenges: a server sends text, and the robot signs it. What is signed
for another purpose begins with a byte that no UTF-8 text holds, so that no challenge can pass for it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

from msgspec import Struct
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.trust.signing import SignatureError

_Said = TypeVar("_Said", bound=Struct)

_FIRST = b"\xff"
_PUBLIC_BYTES = 35
"""A kind, 32 bytes of key, two of checksum."""
_USER_KIND = 20 << 3
"""The kind of a user's key: public ones begin with U."""


def message(purpose: str, payload: bytes) -> bytes:
    """What is signed for one purpose, and for no other."""
    return _FIRST + purpose.encode("ascii") + b"\0" + payload


def is_signed(purpose: str, payload: bytes, signature: bytes, public: str) -> bool:
    """Whether the holder of ``public`` signed ``payload`` for this purpose."""
    key = _verify_key(public)
    if key is None:
        return False
    try:
        key.verify(message(purpose, payload), signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def signed_in(
    purpose: str, payload: bytes, signature: bytes, public: str, kind: type[_Said], refusal: str
) -> _Said:
    """What the holder of ``public`` signed for this purpose; raises SignatureError, which says ``refusal``."""
    if not is_signed(purpose, payload, signature, public):
        raise SignatureError(refusal)
    try:
        return decode(payload, kind)
    except UnreadableMessageError as problem:
        raise SignatureError(refusal) from problem


def is_user_key(public: str) -> bool:
    """Whether this is the public nkey of a user, whole and in the one way that it is written."""
    return _verify_key(public) is not None


def _verify_key(public: str) -> VerifyKey | None:
    try:
        raw = base64.b32decode(public + "=" * (-len(public) % 8))
    except (binascii.Error, ValueError):
        return None
    written = base64.b32encode(raw).rstrip(b"=").decode() == public
    if len(raw) != _PUBLIC_BYTES or raw[0] != _USER_KIND or not written:
        return None
    if binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        return None
    return VerifyKey(raw[1:-2])
