"""Starts a worker process, with its end of the socket and a read-only view of the ring."""

from __future__ import annotations

import socket
import subprocess
import sys

from edge_bridge.workers.protocol import WorkerArguments
from edge_bridge.workers.ring import FrameRing
from edge_bridge.workers.slot_settings import SlotSettings


def spawn(settings: SlotSettings, ring: FrameRing) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return our end of its socket, and the process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    arguments = WorkerArguments(
        backend=settings.backend,
        socket_fd=theirs.fileno(),
        ring_fd=ring.read_only,
        ring_bytes=ring.size_bytes,
        warm_up_runs=settings.warm_up_runs,
        inline_output_limit_bytes=settings.inline_output_limit_bytes,
    )
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_bridge.workers.worker", *arguments.argv()],
            stdin=subprocess.DEVNULL,
            stderr=settings.stderr_fd,
            cwd="/",  # weights beside a model given as bytes are looked for here: there are none
            pass_fds=(theirs.fileno(), ring.read_only),
        )
    return ours, process
