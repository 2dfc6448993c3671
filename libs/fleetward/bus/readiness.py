"""Tells whoever started this process that it is ready and still alive (sd_notify's protocol, systemd's own)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

SIGNS_PER_PATIENCE = 2
"""systemd's own advice: a sign of life at half the time after which silence counts as death."""


def notify(state: str) -> None:
    """Send ``state`` (for example ``READY=1``) to $NOTIFY_SOCKET, if there is one.

    Raises OSError, also when whoever should read it does not: it never waits.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.connect(address)
        sender.sendall(state.encode())


def notify_ready() -> None:
    """This process is connected and listening."""
    notify("READY=1")


def watchdog_period_s(environment: Mapping[str, str], pid: int) -> float | None:
    """How often a watchdog wants a sign of life from the process ``pid``; None: nobody watches it."""
    patience_us = environment.get("WATCHDOG_USEC", "")
    if not patience_us.isascii() or not patience_us.isdigit() or int(patience_us) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # it is our parent that is watched
    return int(patience_us) / 1e6 / SIGNS_PER_PATIENCE


def calm_watchdog() -> None:
    """Give one sign of life, where anybody wants it."""
    if watchdog_period_s(os.environ, os.getpid()) is None:
        return
    try:
        notify("WATCHDOG=1")
    except OSError as problem:  # a supervisor that is gone is no reason to stop
        log(_logger, "watchdog.unheard", level=logging.WARNING, reason=str(problem))


async def keep_watchdog_calm() -> None:
    """Give signs of life for as long as this event loop turns; for ever, also unwatched."""
    period_s = watchdog_period_s(os.environ, os.getpid())
    if period_s is None:
        await asyncio.get_running_loop().create_future()
        return
    while True:
        calm_watchdog()
        await asyncio.sleep(period_s)
