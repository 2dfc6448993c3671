"""Frames from any other process on the robot, over a Unix socket, and the model's answers back.

A camera driver, a ROS node or a shell script connects, sends frames and reads answers; ``frame_wire``
says how. Each connection gets the answers to its own frames.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path

from edge_bridge.errors import BridgeError
from edge_bridge.frames import FrameSink
from edge_bridge.sources.frame_connection import FrameConnection
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

MAX_CLIENTS = 16
SOCKET_MODE = 0o660


class SocketTakenError(BridgeError):
    """Another process serves this socket, or something that is no socket stands there."""


class SocketSource:
    """A source that listens, and a sink for what the model says: give ``answer`` to the bridge."""

    def __init__(self, path: Path, frame_limit_bytes: int) -> None:
        self._path = path
        self._frame_limit_bytes = frame_limit_bytes
        self._clients: set[FrameConnection] = set()
        self.is_listening = asyncio.Event()
        """Programs can connect."""

    async def run(self, sink: FrameSink) -> None:
        """Listen until cancelled; raises SocketTakenError."""
        _make_room(self._path)
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: FrameConnection(
                sink,
                self._frame_limit_bytes,
                opened=self._opened,
                closed=self._clients.discard,
            ),
            self._path,
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

    def _opened(self, client: FrameConnection) -> str | None:
        if len(self._clients) >= MAX_CLIENTS:
            return f"{MAX_CLIENTS} programs are connected already: close one"
        self._clients.add(client)
        return None


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
