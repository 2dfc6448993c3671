"""A process of its own beside the bridge, on a socket pair: when it crashes it is started again.

It ends when its end of the socket does, so that no signal is needed and none outlives the bridge.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence

from msgspec import Struct

from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

RETRY_WAIT_S, RETRY_WAIT_LIMIT_S = 1.0, 30.0
"""One that ends is started again, ever later, until it has lived for the longest wait."""
STOP_S = 1.0
"""How long it may take to leave once its socket is closed."""


class Companion(Struct, frozen=True, kw_only=True):
    """What to start, and who talks to it.

    module: run as ``python -m``; ``argv`` are its arguments, given the number of its inherited socket.
    connect: makes the bridge's side, anew for each start. gone: it ended, however.
    lost_event: what the log calls its end.
    """

    module: str
    argv: Callable[[int], Sequence[str]]
    connect: Callable[[], asyncio.BaseProtocol]
    gone: Callable[[], None]
    lost_event: str

    async def run(self) -> None:
        """Until cancelled."""
        loop, wait_s = asyncio.get_running_loop(), RETRY_WAIT_S
        while True:
            began_s = loop.time()
            try:
                status: int | str = await self._live()
            except OSError as problem:  # no process or descriptor to be had: the robot works on
                status = str(problem)
            if loop.time() - began_s > RETRY_WAIT_LIMIT_S:
                wait_s = RETRY_WAIT_S
            log(_logger, self.lost_event, level=logging.ERROR, status=status, again_in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_WAIT_LIMIT_S)

    async def _live(self) -> int:
        """Until it ends; returns its exit status. Raises OSError when it cannot be started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    self.module,
                    *self.argv(theirs.fileno()),
                    stdin=DEVNULL,
                    pass_fds=(theirs.fileno(),),
                )
            except OSError:
                ours.close()
                raise
        transport: asyncio.BaseTransport | None = None
        try:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_unix_connection(self.connect, sock=ours)
            return await process.wait()
        finally:
            self.gone()
            if transport is not None:
                transport.close()
            await _ended(process)


async def _ended(process: Process) -> None:
    """Let it leave by itself, now that its socket is closed."""
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
