"""Programs that write lines into a Unix socket, and the pipe that workers' stderr is."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from edge_bridge.logs.assembling import LineStream
from edge_bridge.logs.limits import LogSettings
from fleetward.logs.record import Resource

_CREDENTIALS = struct.Struct("3i")
_MODE = 0o660
"""Whoever is in the bridge's group may write."""
WORKERS = Resource(service_name="edge-bridge-worker")
BRIDGE = Resource(service_name="edge-bridge")


class Program:
    """One that writes to us: its lines, and who it is."""

    def __init__(self, connection: socket.socket, limits: LogSettings) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.stream = LineStream(limits)
        self.unit = _peer(connection)
        self._read_bytes = limits.read_bytes

    def read(self) -> bytes | None:
        """What is there now; None at its end."""
        try:
            return self.connection.recv(self._read_bytes) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None


def listening(path: Path, limits: LogSettings) -> socket.socket:
    """A socket at ``path``, in place of one that a collector before this one left; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(str(path))
        path.chmod(_MODE)
        listener.listen(limits.connections)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def piped(descriptor: int, limits: LogSettings) -> bytes | None:
    """What stands in a pipe that does not block; None at its end."""
    try:
        return os.read(descriptor, limits.read_bytes) or None
    except BlockingIOError:
        return b""


def _peer(connection: socket.socket) -> Resource:
    """By the kernel's word: its process and that one's name."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    name = ""
    with suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    return Resource(service_name=name or "socket", pid=max(0, pid))
