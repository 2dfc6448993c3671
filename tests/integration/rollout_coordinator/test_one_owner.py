"""Two coordinators and rollouts that want the same robots: each robot has one owner at a time."""

from __future__ import annotations

import asyncio
import random
from itertools import groupby
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.contracts.control import OnConflict
from fleetward.contracts.rollouts import FINAL_STATES, Rollout
from fleetward.contracts.rows import StreamName
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet, running_fleet
from tests.integration.rollout_coordinator.stored import (
    assert_generations_strictly_increase,
    stored_in,
    targets_in,
)

ASKED = 6
SELECTORS = ("all", "site=berlin", "site=paris", "robot in (berlin-1, paris-1)")
NAMES = ("berlin-1", "berlin-2", "paris-1")


async def _asked(fleet: Fleet, chance: random.Random, number: int) -> Rollout | None:
    await asyncio.sleep(chance.uniform(0, 2))
    policy = replace(
        POLICY, bake_s=chance.choice((0.1, 1.0)), on_conflict=chance.choice(list(OnConflict))
    )
    selector, version = chance.choice(SELECTORS), chance.choice("123")
    return await fleet.answered(await fleet.ask(f"r-{number}", version, selector, policy=policy))


@pytest.mark.parametrize("seed", [1])
async def test_no_robot_is_given_anything_by_who_does_not_own_it_any_more(
    nats_system: NatsSystem, tmp_path: Path, seed: int
) -> None:
    key = signing_key(tmp_path / "keys")
    replicas = [CoordinatorProcess(nats_system, tmp_path / name, key) for name in ("one", "two")]
    await asyncio.gather(*(replica.start() for replica in replicas))
    chance = random.Random(seed)
    async with running_fleet(nats_system, tmp_path / "keys" / "trust", NAMES) as fleet:
        asking = [asyncio.create_task(_asked(fleet, chance, number)) for number in range(ASKED)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        await replicas[0].kill()
        await replicas[0].start()
        begun = [rollout for rollout in await asyncio.gather(*asking) if rollout is not None]
        ended = [await fleet.ended(rollout.rollout_id) for rollout in begun]
        facts = await stored_in(nats_system, StreamName.ROLLOUTS)
        for replica in replicas:
            assert await replica.stop() == 0

    assert len(ended) > 1
    assert {rollout.state for rollout in ended} <= FINAL_STATES
    assert_generations_strictly_increase(facts)
    for robot, targets in targets_in(facts).items():
        turns = [owner for owner, _ in groupby(target.rollout_id for target in targets)]
        assert len(turns) == len(set(turns)), f"{robot} was touched after it was lost: {turns}"
