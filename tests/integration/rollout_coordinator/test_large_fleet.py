"""More robots than a row holds, by a real coordinator that is killed on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD
from fleetward.contracts.rollouts import RobotPhase, RolloutState
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import running_fleet

NAMES = tuple(f"berlin-{number}" for number in range(ROBOTS_PER_SHARD + 2))


@pytest.mark.slow
async def test_coordinator_killed_in_the_middle_of_a_large_rollout_ends_it(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    process = CoordinatorProcess(nats_system, tmp_path / "one", signing_key(tmp_path / "keys"))
    await process.start()
    async with running_fleet(nats_system, tmp_path / "keys" / "trust", NAMES) as fleet:
        await fleet.give_everybody("1")
        rollout_id = await fleet.ask("large", "2")
        await fleet.reached(
            rollout_id,
            lambda held: RobotPhase.PROVED in {each.phase for each in held.robots.values()},
        )
        await process.kill()
        await process.start()
        ended = await fleet.ended(rollout_id)
        assert await process.stop() == 0

    assert ended.state is RolloutState.SUCCEEDED
    assert ended.sharding is not None
    for robot in fleet.robots:
        assert robot.generations == [1, 2]
        assert robot.served == [DIGESTS["1"], DIGESTS["2"]]
