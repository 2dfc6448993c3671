"""Three coordinators, killed at random, robots that say a third of everything twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from fleetward.contracts.rollouts import RolloutState
from fleetward.contracts.rows import StreamName
from testkit.servers import NatsSystem
from testkit.service_process import EndedEarlyError
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import running_fleet
from tests.integration.rollout_coordinator.stored import (
    assert_decisions_are_reproduced,
    assert_generations_strictly_increase,
    assert_nothing_happened_twice,
    stored_in,
)

REPLICAS = 3
SITES = ("berlin", "paris", "rome")
ROBOTS = tuple(f"{site}-{number}" for site in SITES for number in (1, 2, 3))
COPIES_PERCENT = 30
ROUNDS = ("2", "3", "1")
KILLS = 4
"""The rounds go on until so many coordinators were killed: how long one takes is chance."""
SEED = 7
LONGEST_LIFE_S = 2.0


@pytest.fixture
async def replicas(
    nats_system: NatsSystem, tmp_path: Path
) -> AsyncIterator[Sequence[CoordinatorProcess]]:
    """Running side by side on one server; started one after the other, as the machine is small."""
    key = signing_key(tmp_path / "keys")
    processes = [
        CoordinatorProcess(nats_system, tmp_path / str(number), key) for number in range(REPLICAS)
    ]
    for process in processes:
        await process.start()
    yield processes
    for process in processes:
        if process.child is not None and process.child.running:
            await process.kill()


async def supervised(replica: CoordinatorProcess) -> None:
    """Start it, again when it ends because the bus did not answer, as every supervisor does."""
    while True:
        with contextlib.suppress(EndedEarlyError):
            return await replica.start()


async def killing(replicas: Sequence[CoordinatorProcess], kills: list[int]) -> None:
    """kill -9 one after the other, at no good moment, and start it again."""
    chance = random.Random(SEED)
    while True:
        await asyncio.sleep(chance.uniform(0.2, LONGEST_LIFE_S))
        number = chance.randrange(REPLICAS)
        await replicas[number].kill()
        kills.append(number)
        await supervised(replicas[number])


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_rollouts_end_right_while_coordinators_and_the_bus_are_killed(
    replicas: Sequence[CoordinatorProcess], nats_system: NatsSystem, tmp_path: Path
) -> None:
    kills: list[int] = []
    trust = tmp_path / "keys" / "trust"
    async with running_fleet(nats_system, trust, ROBOTS, COPIES_PERCENT) as fleet:
        await fleet.give_everybody("1")
        killer = asyncio.create_task(killing(replicas, kills))
        for number, version in enumerate(itertools.cycle(ROUNDS)):
            if number >= len(ROUNDS) and len(kills) >= KILLS:
                break
            asked = [await fleet.ask(f"{site}-{number}", version, f"site={site}") for site in SITES]
            if number == 1:
                await nats_system.kill()
                await nats_system.restart()
            rollouts = await asyncio.gather(*(fleet.ended(each) for each in asked))
            assert [rollout.state for rollout in rollouts] == [RolloutState.SUCCEEDED] * len(SITES)
            assert {robot.serves for robot in fleet.robots} == {DIGESTS[version]}
            assert not killer.done(), killer.exception()
        killer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killer
    facts = await stored_in(nats_system, StreamName.ROLLOUTS)
    assert_generations_strictly_increase(facts)
    assert_nothing_happened_twice(facts)
    assert_decisions_are_reproduced(facts)
