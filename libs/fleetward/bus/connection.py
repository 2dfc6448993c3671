"""One connection that never gives up, and a process that never lingers with a dead one."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import nats
from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

_REFUSED = "authorization violation"
EXIT_CONNECTION_CLOSED = 70
"""Exit status of a process whose credentials were refused for good (EX_SOFTWARE)."""

Callback = Callable[[], Awaitable[None]]


class Badge(Protocol):
    """What a connection shows the server, for whoever changes it while connected; asked at every attempt."""

    def sign(self, challenge: bytes) -> bytes:
        """The server's challenge under the key of what ``token`` gives next; raises OSError."""

    def token(self) -> str:
        """A user's JWT."""

    async def refused(self) -> None:
        """The server did not let this in. It is tried again when this returns."""


class BusSettings(Struct, frozen=True, kw_only=True):
    """Where the bus is and who we are. ``name``: the principal's or the robot's id."""

    url: str
    credentials: Path
    name: str
    connect_timeout_s: int = 5
    reconnect_wait_s: float = 0.5
    ping_interval_s: int = 10
    pending_bytes: int = 16 * 1024 * 1024
    reader_check_s: float = 2.0


def inbox_prefix(name: str) -> str:
    """Where answers to ``name`` arrive; permissions allow each name its own only."""
    return f"_INBOX_{name}"


def connection_options(settings: BusSettings, badge: Badge | None = None) -> dict[str, Any]:
    """The guards every client connects with, as nats-py's own keyword arguments."""
    return {
        "servers": [settings.url],
        **_shown(settings, badge),
        "inbox_prefix": inbox_prefix(settings.name),
        "name": settings.name,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "connect_timeout": settings.connect_timeout_s,
        "reconnect_time_wait": settings.reconnect_wait_s,
        "ping_interval": settings.ping_interval_s,
        "max_outstanding_pings": 2,
        "pending_size": settings.pending_bytes,
    }


def _shown(settings: BusSettings, badge: Badge | None) -> dict[str, Any]:
    if badge is None:
        return {"user_credentials": str(settings.credentials)}
    return {
        "user_jwt_cb": lambda: bytearray(badge.token().encode("ascii")),
        "signature_cb": lambda nonce: base64.b64encode(badge.sign(nonce.encode())),
    }


async def connect(
    settings: BusSettings,
    *,
    badge: Badge | None = None,
    on_closed: Callback | None = None,
    on_reconnected: Callback | None = None,
) -> Client:
    """Connect, waiting for the server for as long as it takes; reconnect for ever after.

    ``on_closed`` runs when the server refuses these credentials for good (expired, revoked);
    by default the process exits so that its supervisor starts it afresh. ``badge`` is shown in the place
    of ``settings.credentials``.
    """
    closed = on_closed or exit_process

    async def error(problem: Exception) -> None:
        log(_logger, "bus.error", level=logging.WARNING, name=settings.name, error=repr(problem))
        if badge is not None and _REFUSED in str(problem).lower():
            await badge.refused()

    async def reconnected() -> None:
        log(_logger, "bus.reconnected", name=settings.name)
        if on_reconnected is not None:
            await on_reconnected()

    async def closed_by_server() -> None:
        if not getattr(connection, "fleetward_closing", False):
            await closed()

    connection = Client()
    try:
        await connection.connect(
            **connection_options(settings, badge),
            error_cb=error,
            closed_cb=closed_by_server,
            reconnected_cb=reconnected,
        )
    except BaseException:  # whoever gave up waiting leaves no half-open connection behind
        connection.fleetward_closing = True  # type: ignore[attr-defined]  # read by closed_by_server
        with suppress(nats.errors.Error, OSError):
            await connection.close()
        raise
    watch_reader(connection, settings.reader_check_s)
    return connection


async def close(connection: Client, *, drain_timeout_s: float = 2.0) -> None:
    """Flush what is pending and close on purpose: ``on_closed`` does not run."""
    connection.fleetward_closing = True  # type: ignore[attr-defined]  # read by closed_by_server above
    try:
        if connection.is_connected:
            await asyncio.wait_for(connection.flush(), drain_timeout_s)
    except (asyncio.TimeoutError, nats.errors.Error) as problem:
        log(_logger, "bus.flush_failed", level=logging.WARNING, error=repr(problem))
    try:
        await connection.close()
    except OSError as problem:  # nats-py drains a socket that the server's end already took away
        log(_logger, "bus.close_failed", level=logging.WARNING, error=repr(problem))
    watch: asyncio.Task[None] | None = getattr(connection, "fleetward_watch", None)
    if watch is not None:
        watch.cancel()
        await asyncio.wait([watch])


async def abandon(connection: Client) -> None:
    """Leave a connection whose other end is gone without a word, and connect anew.

    nats-py waits until all that was written left, which a dead connection makes it do for ever.
    """
    writer = getattr(connection._transport, "_io_writer", None)  # noqa: SLF001 (nothing public ends it at once)
    if writer is not None:
        writer.transport.abort()
    await connection.force_reconnect()


def watch_reader(connection: Client, check_s: float) -> None:
    """Force a reconnect when nats-py's reader task died while ``is_connected`` stayed True."""

    async def watch() -> None:
        while not connection.is_closed:
            await asyncio.sleep(check_s)
            reader = connection._reading_task  # noqa: SLF001 (the only sign of a dead reader)
            if connection.is_connected and reader is not None and reader.done():
                log(_logger, "bus.reader_died", level=logging.ERROR)
                await connection.force_reconnect()

    task = asyncio.get_running_loop().create_task(watch(), name="bus-reader-watch")
    connection.fleetward_watch = task  # type: ignore[attr-defined]  # keeps the task referenced


async def exit_process() -> None:
    """Leave at once, so that a supervisor starts this process afresh."""
    log(_logger, "bus.closed", level=logging.ERROR)
    os._exit(EXIT_CONNECTION_CLOSED)
