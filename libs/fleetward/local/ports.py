"""Ports on loopback that were free a moment ago; starting a server on one may still fail."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10_000
"""SeaweedFS puts a server's gRPC port this far above its HTTP port."""
_ATTEMPTS = 200


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port_pairs(count: int) -> list[int]:
    """Distinct ports p where p and p + GRPC_OFFSET are both free."""
    found: set[int] = set()
    for _ in range(_ATTEMPTS):
        port = free_port()
        if port + GRPC_OFFSET >= 65_536:
            port -= GRPC_OFFSET
        if is_free(port) and is_free(port + GRPC_OFFSET):
            found.add(port)
        if len(found) == count:
            return sorted(found)
    raise OSError(f"fewer than {count} pairs of free ports on {LOOPBACK}. Close other servers.")
