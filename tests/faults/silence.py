"""Makes a robot fall silent, alive and unable to speak, and counts how often that was noticed."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil

from fleetward.bus.last_values import last_values
from fleetward.contracts.alerts import ROBOT_SILENT, AlertFired
from tests.faults.conftest import Fleetward
from tests.faults.fleet_facts import eventually


def bridge_of(system: Fleetward, robot: str) -> psutil.Process:
    """A robot's bridge."""
    return psutil.Process(system.system.process(f"edge-bridge.{robot}").pid)


@asynccontextmanager
async def stopped(system: Fleetward, robot: str) -> AsyncIterator[None]:
    """The bridge and its workers stand still, alive and silent, for the length of the block."""
    bridge = bridge_of(system, robot)
    processes = [bridge, *bridge.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):  # a bridge kills a worker that does not answer it
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


async def silences(system: Fleetward, robot: str) -> int:
    """How often ``robot`` was ever called silent."""
    fired = await last_values(system.fleet.connection, AlertFired, alert=ROBOT_SILENT)
    return sum(value.event.incident for value in fired if value.event.robot_id == robot)


async def silent_once_more(system: Fleetward, robot: str, before: int) -> None:
    """Wait until the robot was called silent again, and see that it was once."""

    async def look() -> bool:
        return await silences(system, robot) > before

    await eventually(look)
    assert await silences(system, robot) == before + 1
