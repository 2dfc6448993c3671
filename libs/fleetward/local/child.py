"""A process that never outlives us: its own group, and killed by the kernel when we die."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Command(Struct, frozen=True, kw_only=True):
    """What to run. environment: added to ours. log: stdout and stderr are appended to it."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = {}
    directory: Path
    log: Path


class Exit(Struct, frozen=True):
    """How a process ended: its exit status, or minus the number of the signal that ended it."""

    status: int

    def __str__(self) -> str:
        if self.status >= 0:
            return f"exit status {self.status}"
        return f"signal {signal.Signals(-self.status).name}"


class Process(Protocol):
    """What subprocess.Popen is to a Child."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self) -> int: ...
    def send_signal(self, number: int, /) -> None: ...


class Child:
    """One running process; ``wait`` may be awaited from any event loop, by any number of tasks."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid: int = process.pid

    @classmethod
    def start(cls, command: Command) -> Child:
        """Start ``command``; the caller must call ``stop`` or ``wait``."""
        with command.log.open("ab") as log:
            process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=command.directory,
                # No setting is read here: children inherit PATH, HOME and the like.
                env={**os.environ, **command.environment},
                start_new_session=True,
                # Safe: between fork and exec it calls prctl and getppid only.
                preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509
            )
        return cls(process)

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    async def wait(self) -> Exit:
        """Wait for the end; whatever the process started in its own group ends with it."""
        if self.running:
            await self._ended()
        status = self._process.wait()
        self._signal_group(signal.SIGKILL)
        return Exit(status)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, if it still runs."""
        self._process.send_signal(number)

    async def stop(self, grace_s: float) -> Exit:
        """Ask it to end (SIGTERM), and end its whole group (SIGKILL) after ``grace_s``."""
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), grace_s)
        except asyncio.TimeoutError:
            self._signal_group(signal.SIGKILL)
            return await self.wait()

    async def _ended(self) -> None:
        """Return when the kernel says that the process ended (its pidfd becomes readable)."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left in it


Launch = Callable[[Command], Child]
"""How a command becomes a process."""


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _dies_with(parent: int) -> Callable[[], None]:
    def run_in_child() -> None:
        die_with_parent()
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return run_in_child
