"""Bytes that only this robot wrote: sealed with its own key, and opened before anybody reads them.

A serialized engine is executable code, and TensorRT checks nothing of who wrote it. A sealed file is
MAGIC, HMAC-SHA256 (RFC 2104), the label's length, the label and the content; the HMAC covers all of it
but itself. The label says what the content is for, so that a seal cannot be carried to another place.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from typing_extensions import Buffer

MAGIC = b"FLWSEAL1"
KEY_BYTES = 32

_MAC_BYTES = hashlib.sha256().digest_size
_LENGTH = struct.Struct(">I")
_HEAD_BYTES = len(MAGIC) + _MAC_BYTES + _LENGTH.size


class SealError(Exception):
    """These bytes are refused; the message says why, and nothing of them was used."""


def sealed(key: bytes, label: bytes, content: Buffer) -> bytes:
    """``content`` under the robot's seal."""
    length = _LENGTH.pack(len(label))
    return b"".join([MAGIC, _mac(key, length, label, content), length, label, content])


def opened(key: bytes, label: bytes, whole: bytes) -> memoryview:
    """The content of sealed bytes, not copied; raises SealError unless all of it is as it was sealed."""
    if len(whole) < _HEAD_BYTES or not whole.startswith(MAGIC):
        raise SealError("it is cut off, or not a file of this bridge")
    view = memoryview(whole)
    mac, rest = view[len(MAGIC) : len(MAGIC) + _MAC_BYTES], view[len(MAGIC) + _MAC_BYTES :]
    if not hmac.compare_digest(mac, _mac(key, rest)):
        raise SealError("its seal does not match: it was altered, cut off or made on another robot")
    length = _LENGTH.unpack_from(rest)[0]
    start = _LENGTH.size
    if rest[start : start + length] != label:
        raise SealError("it was made of another model, by other settings or for other hardware")
    return rest[start + length :]


def _mac(key: bytes, *parts: Buffer) -> bytes:
    mac = hmac.new(key, MAGIC, hashlib.sha256)
    for part in parts:
        mac.update(part)
    return mac.digest()
