"""The collector's process as its bridge sees it: started, started again, told lines, heard."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from edge_bridge.logs.limits import LogSettings, as_argument
from edge_bridge.logs.programs import listening
from edge_bridge.logs.tap import LogTap
from edge_bridge.logs.wire import MESSAGE_BYTES, Message, decoded
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)
SERVICE = "edge-bridge"
_F_SETPIPE_SZ = 1031


class Collecting:
    """Both ends of what leads to the collector, so that nothing is lost while there is none for a moment."""

    def __init__(self, directory: Path, limits: LogSettings) -> None:
        """Raises OSError."""
        self._directory = directory
        self._limits = limits
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.tap_bytes)
        self._workers, self.workers_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with suppress(OSError):  # a smaller one does as well
            fcntl.fcntl(self.workers_fd, _F_SETPIPE_SZ, limits.tap_bytes)
        self._listener = self._listening()
        self._process: Process | None = None
        self._tap = LogTap(SERVICE, self._ours)
        logging.getLogger().addHandler(self._tap)

    @property
    def pid(self) -> int | None:
        """Of the collector, while there is one; for monitors."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def run(self, heard: Callable[[Message], None]) -> None:
        """Until cancelled; a collector that ends is started again."""
        loop, failures = asyncio.get_running_loop(), 0
        loop.add_reader(self._ours, self._hear, heard)
        while True:
            began_s = loop.time()
            status = await self._ended()
            long = loop.time() - began_s > self._limits.retry_wait_limit_s
            failures = 1 if long else failures + 1
            wait_s = pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
            event, again_s = "logs.collector_ended", round(wait_s, 1)
            log(_logger, event, level=logging.ERROR, status=status, again_in_s=again_s)
            await asyncio.sleep(wait_s)

    async def stop(self) -> None:
        """Let the collector keep what it has; one that takes too long is killed."""
        asyncio.get_running_loop().remove_reader(self._ours)
        logging.getLogger().removeHandler(self._tap)
        self._ours.close()
        self._theirs.close()
        if self._listener is not None:
            self._listener.close()
        os.close(self.workers_fd)
        os.close(self._workers)
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            await asyncio.wait_for(process.wait(), self._limits.stop_s)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()

    def _listening(self) -> socket.socket | None:
        """A place that programs cannot have costs their lines, and no more."""
        path = self._limits.socket
        try:
            return None if path is None else listening(path, self._limits)
        except OSError as problem:
            reason = problem.strerror or repr(problem)
            log(_logger, "logs.socket_refused", level=logging.ERROR, path=path, reason=reason)
            return None

    async def _ended(self) -> int | str:
        """How a new collector ended, or why there is none."""
        try:
            self._process = await self._started()
        except OSError as problem:  # no memory, no process: no reason for a robot to end
            return problem.strerror or repr(problem)
        return await self._process.wait()

    async def _started(self) -> Process:
        passed = (self._theirs.fileno(), self._workers)
        listener = -1 if self._listener is None else self._listener.fileno()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edge_bridge.logs",
            str(self._directory),
            *map(str, (*passed, listener)),
            as_argument(self._limits),
            stdin=DEVNULL,
            pass_fds=(*passed, listener) if listener >= 0 else passed,
        )

    def _hear(self, heard: Callable[[Message], None]) -> None:
        try:
            content = self._ours.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        try:
            heard(decoded(content))
        except msgspec.MsgspecError as problem:
            log(_logger, "logs.collector_unread", level=logging.WARNING, reason=str(problem))
