"""However the supervisor ends, none of its processes outlives it; real services throughout."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from fleetward.client.access import read_access

START_WITHIN_S = 60.0
END_WITHIN_S = 60.0


@asynccontextmanager
async def started(home: Path) -> AsyncIterator[Process]:
    """``python -m fleetward.local`` after it said that it is up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleetward.local", "--robots", "1", "--home", str(home), stdout=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_WITHIN_S):
            while line := await process.stdout.readline():
                if b"is up" in line:
                    break
            else:
                pytest.fail(f"it ended with {await process.wait()}")
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def family(process: Process) -> list[psutil.Process]:
    """Every process below the supervisor, workers of robots included."""
    found = psutil.Process(process.pid).children(recursive=True)
    assert len(found) >= 7, [child.cmdline() for child in found]
    return found


async def all_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after END_WITHIN_S."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, END_WITHIN_S)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_supervisor_asked_to_stop_ends_everything_with_status_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with started(tmp_path) as supervisor:
        below = family(supervisor)
        supervisor.send_signal(number)
        assert await asyncio.wait_for(supervisor.wait(), END_WITHIN_S) == 0
        assert await all_gone(below) == []
    assert not (tmp_path / "connection.json").exists()
    assert refusals(tmp_path) == []


async def test_supervisor_killed_with_9_takes_everything_along_and_can_start_again(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as supervisor:
        below = family(supervisor)
        supervisor.kill()
        await supervisor.wait()
        assert await all_gone(below) == []
    before = read_access(tmp_path).bus.url
    async with started(tmp_path):
        assert read_access(tmp_path).bus.url == before


def refusals(home: Path) -> list[str]:
    """What the server refused to anybody: permissions must cover all that services do."""
    log = (home / "logs" / "nats-server.log").read_text()
    return [line for line in log.splitlines() if "Violation" in line]
