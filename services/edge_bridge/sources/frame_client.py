"""The other end of the frame socket, for Python programs: send arrays, read answers.

with FrameClient(Path("/run/fleetward/frames.sock")) as bridge:
    bridge.send(image)  # uint8 [height, width, 3], any contiguous buffer
    print(bridge.answer().outputs)
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from typing_extensions import Buffer, Self

from edge_bridge.frames import Frame, frame_of
from edge_bridge.sources.frame_wire import (
    LENGTH,
    MAX_ANSWER_BYTES,
    Answer,
    FrameHeader,
    WireError,
    answer_in,
    packed,
)


class FrameClient:
    """One connection; blocking, and for one thread that sends and one that reads."""

    def __init__(self, bridge: Path | socket.socket, timeout_s: float | None = None) -> None:
        """bridge: where it listens, or a socket that is connected to it. timeout_s: of a send or read.

        Raises OSError when no bridge listens.
        """
        if isinstance(bridge, socket.socket):
            self._socket = bridge
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(os.fspath(bridge))
        except OSError:
            self._socket.close()
            raise

    def send(self, array: Buffer, tag: int = 0) -> None:
        """Hand over a frame that was captured now; raises FrameRefusedError or OSError."""
        self.send_frame(frame_of(array), tag)

    def send_frame(self, frame: Frame, tag: int = 0) -> None:
        """The same of a frame; raises OSError."""
        header = FrameHeader(shape=frame.shape, dtype=frame.dtype, tag=tag)
        self._socket.sendall(packed(header))
        self._socket.sendall(frame.content)

    def answer(self) -> Answer:
        """The next answer to one of this connection's frames.

        Raises WireError when the bridge refused what was sent, saying why; EOFError when it is gone.
        """
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        if length > MAX_ANSWER_BYTES:
            raise WireError(f"an answer of {length} bytes: is this the bridge's socket?")
        answer = answer_in(self._read(length))
        if answer.frame == 0:
            raise WireError(f"the bridge refused: {answer.error}")
        return answer

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self, size: int) -> bytes:
        content = bytearray(size)
        left = memoryview(content)
        while left:
            try:
                received = self._socket.recv_into(left)
            except ConnectionResetError:
                received = 0
            if not received:
                raise EOFError("the bridge closed the frame socket")
            left = left[received:]
        return bytes(content)
