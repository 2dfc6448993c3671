"""Installs a release beside the one that runs, and tries it, in processes of their own and within bounds."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from edge_bridge.converging.interrupting import unless
from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import DiskFailedError, ReleaseRefusedError
from edge_bridge.files import write_whole
from edge_bridge.settings import Settings
from edge_bridge.updating.check import Tried, Trying
from fleetward.contracts.robots import ActivationStage
from fleetward.releases.launch import Place

INSTALL_S = 600.0
"""Here and below: what a brake pauses does not count."""
CHECK_S = 120.0
"""And for each model as long as it may take to load, its engine's build included."""
MAX_SAID_BYTES = 16 * 1024
LINES_OF_REASON = 3


async def install(
    place: Place,
    name: str,
    archive: Path,
    tried: Sequence[Tried],
    settings: Settings,
    brake: Brake,
) -> None:
    """Until the release ``name`` may be started; it stands still while ``brake`` pauses.

    Raises ReleaseRefusedError; DiskFailedError: try again.
    """
    place.releases.mkdir(parents=True, exist_ok=True)
    release = place.release(name)
    try:
        await _run(
            [sys.executable, "-m", "edge_bridge.updating.install", str(archive), str(release)],
            *(b"", INSTALL_S, ActivationStage.LOAD, brake),
        )
        of_models_s = settings.slots.load_timeout_s + settings.slots.engines.build_limit_s
        await _run(
            [str(place.python(name)), "-m", "edge_bridge.updating.check"],
            msgspec.json.encode(Trying(models=tuple(tried))),
            *(CHECK_S + of_models_s * len(tried), ActivationStage.WARM_UP, brake),
        )
        await _run(["sync", "-f", str(release)], b"", INSTALL_S, ActivationStage.LOAD, brake)
        await asyncio.to_thread(write_whole, place.complete(name), b"\n")
    except OSError as problem:
        raise DiskFailedError(f"{release} cannot be installed: {problem}.") from problem
    except ReleaseRefusedError:
        await asyncio.to_thread(remove, place, name)
        raise


def remove(place: Place, name: str) -> None:
    """Remove a release; what is left of it when that is cut off counts as nothing."""
    place.complete(name).unlink(missing_ok=True)
    shutil.rmtree(place.release(name), ignore_errors=True)


def collect(place: Place, kept: Sequence[str]) -> None:
    """Remove every release but those."""
    if place.releases.is_dir():
        for path in place.releases.iterdir():
            if path.name not in kept:
                remove(place, path.name)


class _Group:
    """A process and all that it started, and the time that it has left while it is not paused."""

    def __init__(self, process: asyncio.subprocess.Process, limit_s: float) -> None:
        self.late = asyncio.Event()
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._left_s = limit_s
        self._timer = self._loop.call_later(limit_s, self.late.set)

    def pause(self) -> None:
        self._left_s = self._timer.when() - self._loop.time()
        self._timer.cancel()
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)
        self._timer = self._loop.call_later(self._left_s, self.late.set)

    def end(self) -> None:
        """All of them, at once."""
        self._timer.cancel()
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """To whichever of them are left."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


async def _run(
    argv: Sequence[str], told: bytes, limit_s: float, stage: ActivationStage, brake: Brake
) -> None:
    """A process to its end; it and all that it started are gone when this returns."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NOTIFY_SOCKET", "PYTHONDONTWRITEBYTECODE"}
    }
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    group, said = _Group(process, limit_s), b""

    async def talk() -> None:
        nonlocal said
        _, said = await process.communicate(told)

    try:
        with brake.over(group):
            in_time = await unless(group.late, talk())
    finally:
        group.end()
        await process.wait()
    if not in_time:
        raise ReleaseRefusedError(stage, f"it took longer than {limit_s:g} s")
    if process.returncode != 0:
        raise ReleaseRefusedError(stage, _reason(said, process.returncode))


def _reason(said: bytes, status: int | None) -> str:
    lines = said[-MAX_SAID_BYTES:].decode(errors="replace").strip().splitlines()
    words = " ".join(lines[-LINES_OF_REASON:]) or "it said nothing"
    return f"it ended with status {status}: {words}"
