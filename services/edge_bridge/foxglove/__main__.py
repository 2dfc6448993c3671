"""The process that serves viewers: what the bridge hands over goes to whoever subscribes to it.

It ends with the bridge: when the socket closes. Everything else of the robot goes before it: it is nice, and
the first that the kernel takes when memory ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from edge_bridge.errors import BridgeError
from edge_bridge.foxglove.channels import Channels, Viewers, served
from edge_bridge.foxglove.wire import (
    MAX_MESSAGE_BYTES,
    Heard,
    Listening,
    NotUnderstoodError,
    Shown,
    packed,
    shown_in,
)
from edge_bridge.sources.frame_wire import LENGTH
from fleetward.bus.process import exit_status

NICENESS = 10
OOM_SCORE = 1000


class ViewArguments(Struct, frozen=True):
    """The command line, in its order."""

    socket_fd: int
    robot_id: str
    host: str
    port: int


class GoneError(BridgeError):
    """The bridge closed the socket; there is nothing more to do."""


def run(arguments: ViewArguments) -> None:
    """Until the bridge closes the socket; raises PortTakenError and NotUnderstoodError."""
    with socket.socket(fileno=arguments.socket_fd) as bridge:
        viewers = Viewers(lambda watched: _say(bridge, watched))
        with served(arguments.robot_id, arguments.host, arguments.port, viewers) as (
            channels,
            port,
        ):
            _say(bridge, Listening(port))
            _show_all(bridge, channels)


def _show_all(bridge: socket.socket, channels: Channels) -> None:
    with suppress(GoneError):
        while True:
            channels.show(_next(bridge))


def _say(bridge: socket.socket, message: Heard) -> None:
    with suppress(OSError):  # it is gone, and reading says so too
        bridge.sendall(b"".join(packed(message)))


def _next(bridge: socket.socket) -> Shown:
    (length,) = LENGTH.unpack(_read(bridge, LENGTH.size))
    if length > MAX_MESSAGE_BYTES:
        raise NotUnderstoodError(f"a message of {length} bytes from the bridge")
    return shown_in(_read(bridge, length))


def _read(bridge: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        try:
            received = bridge.recv_into(left)
        except OSError as error:
            raise GoneError(str(error)) from error
        if not received:
            raise GoneError("closed")
        left = left[received:]
    return content


def _settle() -> None:
    """Leave signals to the bridge, and processor and memory to the robot."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    with suppress(OSError):  # where it is not allowed, the kernel chooses as it does
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), "ascii")


def main() -> int:
    """The process's exit status."""
    _settle()
    socket_fd, robot_id, host, port = sys.argv[1:]
    arguments = ViewArguments(int(socket_fd), robot_id, host, int(port))
    return exit_status("edge-bridge-foxglove", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
