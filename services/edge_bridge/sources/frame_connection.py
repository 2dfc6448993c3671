"""One program's connection for frames: its bytes become frames, and it reads the answers to its own.

Who does not read loses answers, never the bridge's time; who sends nonsense is told why and cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from edge_bridge.errors import FrameRefusedError
from edge_bridge.frames import Frame, FrameSink
from edge_bridge.sources.frame_wire import (
    LENGTH,
    MAX_HEADER_BYTES,
    Answer,
    FrameHeader,
    WireError,
    header_in,
    packed,
    size_of,
)
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

MAX_AWAITED = 1024
"""Frames of one client whose answers are still awaited; older ones were dropped long ago."""
MAX_UNREAD_BYTES = 4 * 1024 * 1024
"""Answers that a client has not read; further ones are lost to it."""


class FrameConnection(asyncio.BufferedProtocol):
    """Bytes go straight to where the frame is put together, and are copied once.

    ``opened`` may refuse it, with the reason; ``closed`` is told when it is gone.
    """

    def __init__(
        self,
        sink: FrameSink,
        frame_limit_bytes: int,
        *,
        opened: Callable[[FrameConnection], str | None] = lambda _: None,
        closed: Callable[[FrameConnection], None] = lambda _: None,
    ) -> None:
        self._sink = sink
        self._opened, self._closed = opened, closed
        self._frame_limit_bytes = frame_limit_bytes
        self._awaited: OrderedDict[int, int] = OrderedDict()
        self._transport: asyncio.WriteTransport | None = None
        self._lost = 0
        self._content = bytearray(LENGTH.size)
        self._left = memoryview(self._content)
        self._arrived: Callable[[bytearray], None] = self._length_arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        refusal = self._opened(self)
        if refusal is not None:
            self._refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._closed(self)
        self._transport = None
        if self._lost:
            log(_logger, "frames.answers_unread", level=logging.WARNING, answers=self._lost)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._left

    def buffer_updated(self, nbytes: int) -> None:
        self._left = self._left[nbytes:]
        if self._left or self._transport is None:
            return
        try:
            self._arrived(self._content)
        except (WireError, FrameRefusedError) as problem:
            self._refuse(str(problem))

    def answer(self, done: InferenceDone) -> bool:
        """Send the result of one of this client's frames; False: it is not one of them."""
        tag = self._awaited.pop(done.frame, None)
        if tag is None or self._transport is None:
            return tag is not None
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._lost += 1
            return True
        self._transport.write(
            packed(
                Answer(
                    tag=tag,
                    frame=done.frame,
                    digest=done.digest,
                    latency_s=done.latency_s,
                    perception_s=done.perception_s,
                    confidence=done.confidence,
                    error=done.error or "",
                    outputs=done.outputs_summary,
                )
            )
        )
        return True

    def cut_off(self) -> None:
        """End the connection once what was said is sent."""
        if self._transport is not None:
            self._transport.close()

    def _expect(self, size: int, arrived: Callable[[bytearray], None]) -> None:
        """Put so many bytes together next, and then call ``arrived`` with them."""
        self._content = bytearray(size)
        self._left = memoryview(self._content)
        self._arrived = arrived

    def _length_arrived(self, content: bytearray) -> None:
        (length,) = LENGTH.unpack(content)
        if not 0 < length <= MAX_HEADER_BYTES:
            raise WireError(f"a header of {length} bytes: it must have 1 to {MAX_HEADER_BYTES}")
        self._expect(length, self._header_arrived)

    def _header_arrived(self, content: bytearray) -> None:
        header = header_in(bytes(content))
        size = size_of(header)
        if size > self._frame_limit_bytes:
            raise WireError(
                f"a frame of {size} bytes: the limit is {self._frame_limit_bytes}. Resize it at its "
                "source"
            )
        self._expect(size, partial(self._frame_arrived, header))

    def _frame_arrived(self, header: FrameHeader, content: bytearray) -> None:
        frame = self._sink(Frame(content, header.shape, header.dtype))
        self._expect(LENGTH.size, self._length_arrived)
        if frame is None:
            return
        self._awaited[frame] = header.tag
        if len(self._awaited) > MAX_AWAITED:
            self._awaited.popitem(last=False)

    def _refuse(self, reason: str) -> None:
        log(_logger, "frames.refused", level=logging.WARNING, reason=reason)
        if self._transport is not None:
            self._transport.write(packed(Answer(error=reason)))
            self._transport.close()
