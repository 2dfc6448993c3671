"""Tells whoever started this process that it is ready (sd_notify's protocol, systemd's own)."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send ``state`` (for example ``READY=1``) to $NOTIFY_SOCKET, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall(state.encode())


def notify_ready() -> None:
    """This process is connected and listening."""
    notify("READY=1")
