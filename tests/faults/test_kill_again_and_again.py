"""One kill is luck: the bus, the store and the coordinator are hit again and again in a rollout."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from fleetward.contracts.rollouts import RobotPhase, RolloutState, Strategy
from tests.faults.conftest import Fleetward
from tests.faults.fleet_facts import serves, target

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOTS = ("robot-1", "robot-2")
BUS_KILLS = 3
BETWEEN_BUS_KILLS_S = 0.7
COORDINATOR_ROLLOUTS = 5
"""With one kill each: restarts come later and later while lives stay short."""
LATEST_KILL_S = 2.5
STORE_STOPPED_S = 5.0
SEED = 11


async def generations(system: Fleetward) -> dict[str, int]:
    """The newest generation of every robot; 0 before its first target."""
    found = {robot: await target(system, robot) for robot in ROBOTS}
    return {robot: known.generation if known else 0 for robot, known in found.items()}


async def test_a_rollout_survives_a_store_that_stands_still_and_a_bus_killed_three_times(
    fleetward: Fleetward,
) -> None:
    version = await fleetward.publish_build(1)
    store = fleetward.system.kill("seaweedfs", signal.SIGSTOP)
    assert store
    rollout = await fleetward.start(version)
    await asyncio.sleep(STORE_STOPPED_S)
    assert fleetward.system.kill("seaweedfs", signal.SIGCONT) == store, "it was only slow"
    for _ in range(BUS_KILLS):
        pid = fleetward.system.kill("nats-server")
        await fleetward.system.ready("nats-server", after_pid=pid)
        await asyncio.sleep(BETWEEN_BUS_KILLS_S)
    ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    for robot in ROBOTS:
        await serves(fleetward, robot, version)


async def test_rollouts_end_right_while_the_coordinator_is_killed_at_random(
    fleetward: Fleetward,
) -> None:
    chance = random.Random(SEED)
    versions = [await fleetward.publish_build(number) for number in (10, 11)]
    before = await generations(fleetward)
    for turn in range(COORDINATOR_ROLLOUTS):
        version = versions[turn % 2]
        asking = asyncio.ensure_future(fleetward.start(version, Strategy.ALL_AT_ONCE))
        await asyncio.sleep(chance.uniform(0.0, LATEST_KILL_S))
        assert fleetward.system.kill("rollout-coordinator")
        rollout = await asking
        ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
        assert ended.state is RolloutState.SUCCEEDED, ended.reason
        assert {of.phase for of in ended.robots.values()} == {RobotPhase.PROVED}
        now = await generations(fleetward)
        assert now == {robot: count + 1 for robot, count in before.items()}
        before = now
        for robot in ROBOTS:
            await serves(fleetward, robot, version)
