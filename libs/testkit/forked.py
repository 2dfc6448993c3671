"""``python -m <module>`` as a process of its own, forked from one that imported ours already.

Starting a service costs more processor time than most tests of it: 1.2 s for the coordinator's
imports alone. Each test run keeps one process that imported every service and the command line;
what a test starts is its fork, which runs ``<module>/__main__.py`` from its first line on with an
environment, a directory, a session and outputs of its own, and dies with the test run.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from msgspec import Struct

from fleetward.local.child import Child, Command, die_with_parent

PRELOADED = (
    "alerting.__main__",
    "edge_bridge.__main__",
    "edge_bridge.fetching.arrival",
    "edge_bridge.workers.distance",
    "fleetward.cli.__main__",
    "model_registry.__main__",
    "rollout_coordinator.__main__",
    "telemetry_ingest.__main__",
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


class Program(Struct, frozen=True, kw_only=True):
    """What to run. environment: all of it. output, errors: files that are appended to."""

    module: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str]
    directory: Path
    output: Path
    errors: Path


def start(program: Program) -> Child:
    """Start ``program``; the caller must call ``stop`` or ``wait``."""
    process = _context.Process(target=_run, args=(program,), daemon=True)
    process.start()
    return Child(_Forked(process))


def launch(command: Command) -> Child:
    """``Child.start`` for whom a start may be cheap: what is no ``python -m`` starts as ever."""
    python, option, *rest = command.arguments
    if (python, option) != (sys.executable, "-m"):
        return Child.start(command)
    return start(
        Program(
            module=rest[0],
            arguments=rest[1:],
            environment={**os.environ, **command.environment},
            directory=command.directory,
            output=command.log,
            errors=command.log,
        )
    )


class _Forked:
    """A process of multiprocessing's, in the words of subprocess's."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self.pid: int = process.pid
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        status = self._process.exitcode
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(program: Program) -> None:
    """In the fork: become what ``python -m`` would have made."""
    die_with_parent()
    os.setsid()
    for path, number in ((program.output, 1), (program.errors, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(program.environment)
    os.chdir(program.directory)
    sys.argv = [program.module, *program.arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.modules.pop(f"{program.module}.__main__", None)  # imported for what it imports
    try:
        runpy.run_module(program.module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 (multiprocessing ends its forks without them)
