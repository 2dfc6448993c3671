"""kill -9 of the supervisor: nothing of the system outlives it, and the next start goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from examples.demo import releases
from fleetward.client.fleet import Fleet
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from tests.faults.conftest import QUICK, running
from tests.faults.fleet_facts import eventually, serves
from tests.faults.supervisor import READY

pytestmark = pytest.mark.slow

ROBOTS = 2
PROCESSES = 2 + 4 + 2 * ROBOTS
"""Servers, services, and for each robot a bridge and at least one worker."""
READY_S = 60.0
GONE_S = 30.0
LONG_BAKE = replace(QUICK, wave_percents=(50, 100), bake_s=4.0)


@asynccontextmanager
async def supervised(home: Path, models: Path) -> AsyncIterator[psutil.Process]:
    """A system whose supervisor is a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.supervisor", str(home), str(models), str(ROBOTS)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            async for line in process.stdout:
                if line.decode().strip() == READY:
                    break
        yield psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def in_the_middle(fleet: Fleet, rollout: Rollout) -> None:
    """Wait until the first wave proved the model and bakes; the second waits."""

    async def look() -> bool:
        now = await fleet.rollout(rollout.rollout_id)
        phases = {progress.phase for progress in now.robots.values()}
        return phases == {RobotPhase.PROVED, RobotPhase.WAITING}

    await eventually(look)


async def test_nothing_outlives_a_killed_supervisor_and_the_next_start_ends_the_rollout(
    tmp_path: Path, models: Path
) -> None:
    home = tmp_path / "home"
    name = releases.MODEL_NAME
    async with supervised(home, models) as supervisor, Fleet.connect(home) as fleet:
        for version in ("v1", "v2"):
            await fleet.push_model(models / f"{version}.onnx", name, version)
        first = await fleet.start_rollout(
            f"{name}:v1", "all", strategy=Strategy.ALL_AT_ONCE, policy=QUICK
        )
        await fleet.wait_rollout(first.rollout_id, timeout_s=90)
        rollout = await fleet.start_rollout(f"{name}:v2", "all", policy=LONG_BAKE)
        await in_the_middle(fleet, rollout)

        family = supervisor.children(recursive=True)
        assert len(family) >= PROCESSES
        supervisor.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, GONE_S)
        assert alive == []

    async with running(home, models, ROBOTS) as system:
        ended = await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
        assert ended.state is RolloutState.SUCCEEDED, ended.reason
        assert {progress.phase for progress in ended.robots.values()} == {RobotPhase.PROVED}
        for robot in ("robot-1", "robot-2"):
            await serves(system, robot, "v2")
