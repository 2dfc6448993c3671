"""A process says itself when it is ready (sd_notify), or a probe of its port tells."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

READY = b"READY=1"
_MESSAGE_BYTES = 4096


class Readiness(Protocol):
    """How one process is known to be ready, each time it is started."""

    def environment(self) -> Mapping[str, str]:
        """Forget earlier starts; what the next start needs in its environment."""

    async def ready(self) -> None:
        """Return once the process started last is ready."""


class Probed:
    """Ready when a probe returns."""

    def __init__(self, probe: Callable[[], Awaitable[None]]) -> None:
        self._probe = probe

    def environment(self) -> Mapping[str, str]:
        """Servers need nothing."""
        return {}

    async def ready(self) -> None:
        """Run the probe."""
        await self._probe()


class Notified:
    """Ready when the process sends READY=1 to a socket of ours.

    The socket is abstract, so nothing is left on disk, and its name is random and new for every
    start, so a message of an earlier start cannot be taken for this one's.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def environment(self) -> Mapping[str, str]:
        """A new NOTIFY_SOCKET."""
        self._close()
        name = f"fleetward-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{name}")
        return {"NOTIFY_SOCKET": f"@{name}"}

    async def ready(self) -> None:
        """Wait for READY=1; other states are passed over."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        while READY not in (await loop.sock_recv(self._socket, _MESSAGE_BYTES)).splitlines():
            pass
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
