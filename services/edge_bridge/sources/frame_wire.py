"""What crosses the frame socket: frames in, answers out. For programs in any language.

Each message is a length, 4 bytes little-endian, and as many bytes of msgpack: a map of the fields
below. A frame's header is followed by its content, whose size is shape times the type's bytes. An
answer is followed by nothing. Frames that a newer one overtook are answered by nobody: latest wins.
"""

from __future__ import annotations

import math
import struct

import msgspec
from msgspec import Struct

from edge_bridge.frames import ITEM_BYTES, FrameType
from edge_bridge.workers.protocol import Output

LENGTH = struct.Struct("<I")
MAX_HEADER_BYTES = 4096
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_DIMENSIONS = 8


class FrameHeader(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Before a frame's content. tag: the sender's own number, given back with the answer."""

    shape: tuple[int, ...]
    dtype: FrameType = "uint8"
    tag: int = 0


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the model said of one frame, or in ``error`` why nobody did.

    digest: of the model that answered. latency_s: pick-up to result in the worker. perception_s: from
    the frame's arrival to that pick-up. outputs: by name; their content where it is small.
    """

    tag: int = 0
    frame: int = 0
    digest: str = ""
    latency_s: float = 0.0
    perception_s: float = 0.0
    confidence: float | None = None
    error: str = ""
    outputs: dict[str, Output] = {}


class WireError(ValueError):
    """The other side does not speak this language: says what it sent and what is due."""


def packed(message: FrameHeader | Answer) -> bytes:
    """One message with its length."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def header_in(body: bytes) -> FrameHeader:
    """The header in a message's bytes; raises WireError."""
    try:
        header = msgspec.msgpack.decode(body, type=FrameHeader)
    except msgspec.MsgspecError as error:
        raise WireError(f"this is no frame's header: {error}") from error
    if not 0 < len(header.shape) <= MAX_DIMENSIONS or min(header.shape) <= 0:
        raise WireError(
            f"a frame of shape {list(header.shape)} holds nothing: give 1 to {MAX_DIMENSIONS} "
            "numbers above 0"
        )
    return header


def size_of(header: FrameHeader) -> int:
    """How many bytes of content follow."""
    return math.prod(header.shape) * ITEM_BYTES[header.dtype]


def answer_in(body: bytes) -> Answer:
    """The answer in a message's bytes; raises WireError."""
    try:
        return msgspec.msgpack.decode(body, type=Answer)
    except msgspec.MsgspecError as error:
        raise WireError(f"this is no answer: {error}") from error
