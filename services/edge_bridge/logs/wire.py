"""What the collector and its bridge say to each other over a pair of sockets: lines there, these messages back."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edge_bridge.logs.sealing import SealedSegment

MESSAGE_BYTES = 64 * 1024
"""Of one message, either way; the kernel takes each whole or not at all."""


class LiveRecord(Struct, frozen=True, array_like=True):
    """A severe record as it stands in its segment, by its number."""

    number: int
    line: bytes


class Sealed(Struct, frozen=True, tag="sealed"):
    """A segment can be taken."""

    segment: SealedSegment


class Live(Struct, frozen=True, tag="live"):
    """Severe records as they come; ``unsaid``: how many more there were since the last message."""

    records: tuple[LiveRecord, ...]
    unsaid: int = 0


Message = Sealed | Live
_DECODER = msgspec.msgpack.Decoder(Message)


def encoded(message: Message) -> bytes:
    """The bytes of one message."""
    return msgspec.msgpack.encode(message)


def decoded(content: bytes) -> Message:
    """Raises msgspec.MsgspecError."""
    message: Message = _DECODER.decode(content)
    return message
