"""What the bridge and the process that serves viewers say to each other: a length, then msgpack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec
from msgspec import Struct
from typing_extensions import Buffer

from edge_bridge.sources.frame_wire import LENGTH, Answer
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import ModelName
from fleetward.contracts.telemetry import TelemetryFrame

FRAMES, RESULTS, SIGNALS, LOG = "/frames", "/results", "/signals", "/log"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Picture(Struct, frozen=True, kw_only=True, tag=True):
    """One frame: RGB uint8 in row order. at_ns: unix time of its capture."""

    at_ns: int
    height: int
    width: int
    content: bytes


class Result(Struct, frozen=True, kw_only=True, tag=True):
    """What a model said of a frame. at_ns: that of the frame's picture."""

    at_ns: int
    pipeline: ModelName | None
    answer: Answer


class Samples(Struct, frozen=True, kw_only=True, tag=True):
    """What was measured since the last ones."""

    frame: TelemetryFrame


class Told(Struct, frozen=True, kw_only=True, tag=True):
    """A line for the log. name: what kind of thing happened. text: JSON, and for people."""

    at_ns: int
    is_bad: bool
    name: str
    text: str


Shown: TypeAlias = Picture | Result | Samples | Told


class Listening(Struct, frozen=True, tag=True):
    """Viewers may come."""

    port: int


class Watched(Struct, frozen=True, tag=True):
    """The topics that at least one viewer subscribes to now."""

    topics: tuple[str, ...]


Heard: TypeAlias = Listening | Watched


class NotUnderstoodError(FleetwardError):
    """The other side of the socket speaks another language: one of them was changed."""


_shown_decoder: msgspec.msgpack.Decoder[Shown] = msgspec.msgpack.Decoder(Shown)
_encode = msgspec.msgpack.Encoder().encode
_heard_decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(Heard)


def packed(message: Shown | Heard) -> tuple[bytes, bytes]:
    """One message after its length, apart: a picture is not copied once more."""
    body = _encode(message)
    return LENGTH.pack(len(body)), body


class HeardMessages:
    """Puts what arrives together; give it every piece."""

    def __init__(self) -> None:
        self._content = bytearray()

    def arrived(self, piece: bytes) -> Iterator[Heard]:
        """Each message that is whole now; raises NotUnderstoodError."""
        self._content += piece
        while len(self._content) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._content)
            if length > MAX_MESSAGE_BYTES:
                raise NotUnderstoodError(f"a message of {length} bytes from the viewers' process")
            end = LENGTH.size + length
            if len(self._content) < end:
                return
            message = bytes(self._content[LENGTH.size : end])
            del self._content[:end]
            yield _heard(message)


def shown_in(body: Buffer) -> Shown:
    """The message in these bytes; raises NotUnderstoodError."""
    try:
        return _shown_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise NotUnderstoodError(
            f"the bridge said nonsense to the viewers' process: {error}"
        ) from error


def _heard(message: bytes) -> Heard:
    try:
        return _heard_decoder.decode(message)
    except msgspec.MsgspecError as error:
        raise NotUnderstoodError(f"the viewers' process said nonsense: {error}") from error
