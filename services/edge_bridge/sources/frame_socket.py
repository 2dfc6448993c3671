"""Frames from any other process on the robot, over a Unix socket, and the model's answers back.

A camera driver, a ROS node or a shell script connects, sends frames and reads answers; ``frame_wire``
says how. Each connection gets the answers to its own frames. Who does not read loses answers, never
the bridge's time; who sends nonsense is told why and cut off, and nobody else notices.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge_bridge.errors import BridgeError, FrameRefusedError
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

MAX_CLIENTS = 16
MAX_AWAITED = 1024
"""Frames of one client whose answers are still awaited; older ones were dropped long ago."""
MAX_UNREAD_BYTES = 4 * 1024 * 1024
"""Answers that a client has not read; further ones are lost to it."""
SOCKET_MODE = 0o660


class SocketTakenError(BridgeError):
    """Another process serves this socket, or something that is no socket stands there."""


class SocketSource:
    """A source that listens, and a sink for what the model says: give ``answer`` to the bridge."""

    def __init__(self, path: Path, frame_limit_bytes: int) -> None:
        self._path = path
        self._frame_limit_bytes = frame_limit_bytes
        self._clients: set[_Client] = set()
        self.is_listening = asyncio.Event()
        """Programs can connect."""

    async def run(self, sink: FrameSink) -> None:
        """Listen until cancelled; raises SocketTakenError."""
        _make_room(self._path)
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Client(self._clients, sink, self._frame_limit_bytes), self._path
        )
        self._path.chmod(SOCKET_MODE)
        self.is_listening.set()
        log(_logger, "frames.listening", path=str(self._path))
        try:
            await server.serve_forever()
        finally:
            self.is_listening.clear()
            for client in list(self._clients):
                client.cut_off()
            self._path.unlink(missing_ok=True)

    def answer(self, done: InferenceDone) -> None:
        """Give a result to whoever sent its frame."""
        for client in self._clients:
            if client.answer(done):
                return


class _Client(asyncio.BufferedProtocol):
    """One connection: bytes go straight to where the frame is put together, and are copied once."""

    def __init__(self, clients: set[_Client], sink: FrameSink, frame_limit_bytes: int) -> None:
        self._clients = clients
        self._sink = sink
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
        if len(self._clients) >= MAX_CLIENTS:
            self._refuse(f"{MAX_CLIENTS} programs are connected already: close one")
            return
        self._clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._clients.discard(self)
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


def _make_room(path: Path) -> None:
    """Remove what a killed bridge left; raises SocketTakenError when somebody lives there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    if not path.is_socket():
        raise SocketTakenError(f"{path} is no socket. Remove it, or choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            path.unlink()
            return
    raise SocketTakenError(
        f"another process serves {path}: one socket is one robot's. Stop it, or choose another path."
    )
