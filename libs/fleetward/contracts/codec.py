"""Facts to bytes and back: msgpack maps, so that fields may be added but never renamed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.event import Event

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_encoder = msgspec.msgpack.Encoder()


class UnreadableMessageError(FleetwardError):
    """Bytes that are not the Struct they were said to be: poison, never worth a retry."""


class MessageTooLargeError(FleetwardError):
    """A fact larger than its row of the catalog allows."""


def encode(struct: msgspec.Struct) -> bytes:
    """The msgpack bytes of a Struct."""
    return _encoder.encode(struct)


def decode(payload: bytes, struct: type[_Struct]) -> _Struct:
    """The Struct in ``payload``; raises UnreadableMessageError.

    msgspec raises RecursionError on deep nesting and UnicodeDecodeError on bad UTF-8, neither of
    them its own DecodeError, so all three are caught here.
    """
    try:
        decoded: _Struct = _decoder(struct).decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UnreadableMessageError(
            f"{len(payload)} bytes are not a {struct.__name__}: {error}."
        ) from error
    return decoded


def encode_within(event: Event, limit_bytes: int) -> bytes:
    """The bytes of ``event``; raises MessageTooLargeError past ``limit_bytes``."""
    payload = encode(event)
    if len(payload) > limit_bytes:
        raise MessageTooLargeError(
            f"{type(event).__name__} is {len(payload)} bytes, its limit is {limit_bytes}. "
            "Send less at once, or raise the limit in its row of contracts/catalog_pages."
        )
    return payload


@lru_cache(maxsize=256)
def _decoder(struct: type[_Struct]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(struct)
