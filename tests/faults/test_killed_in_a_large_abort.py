"""A coordinator that is killed while it takes a model back from more robots than one step may order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import psutil
import pytest
from nats.aio.client import Client

from fleetward.bus.publish import publish
from fleetward.bus.stored_rollouts import read_rollout
from fleetward.contracts.control import AbortMode, ControlAction, RolloutControlRequested
from fleetward.contracts.ids import RolloutId, model_selector
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    MAX_TARGETS_PER_STEP,
    RobotPhase,
    Rollout,
    RolloutPolicy,
    RolloutRequested,
    RolloutState,
    Strategy,
)
from fleetward.contracts.rows import Principal, StreamName
from testkit.swarm import Swarm, names, running_swarm, swarm_system
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.detector import DIGESTS, record
from tests.integration.rollout_coordinator.stored import (
    assert_decisions_are_reproduced,
    assert_generations_strictly_increase,
    assert_nothing_happened_twice,
    stored_in,
)

ROBOTS = 2 * MAX_TARGETS_PER_STEP + 100
LIMIT_S, LOOK_S = 120.0, 0.05
POLICY = RolloutPolicy(bake_s=3600, silent_after_s=300)


class People:
    """Who asks, and waits."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    async def ask(self, wanted: RolloutId, version: str) -> None:
        request = RolloutRequested(
            rollout_id=wanted,
            model=model_selector(f"detector:{version}"),
            selector="all",
            strategy=Strategy.ALL_AT_ONCE,
            policy=POLICY,
            requested_at=datetime.now(timezone.utc),
        )
        await publish(self._connection, request)

    async def abort(self, wanted: RolloutId, mode: AbortMode) -> None:
        abort = RolloutControlRequested(
            rollout_id=wanted,
            action=ControlAction.ABORT,
            abort=mode,
            requested_by="ann",
            requested_at=datetime.now(timezone.utc),
        )
        await publish(self._connection, abort)

    async def until(self, wanted: RolloutId, holds: Callable[[Rollout], bool]) -> Rollout:
        async with asyncio.timeout(LIMIT_S):
            while True:
                kept = await read_rollout(self._connection, wanted)
                if kept is not None and holds(kept.event):
                    return kept.event
                await asyncio.sleep(LOOK_S)


def is_proved_everywhere(rollout: Rollout) -> bool:
    return {held.phase for held in rollout.robots.values()} == {RobotPhase.PROVED}


def is_being_taken_back(rollout: Rollout) -> bool:
    return rollout.state is RolloutState.REVERTING


def has_ended(rollout: Rollout) -> bool:
    return rollout.state in FINAL_STATES


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[tuple[CoordinatorProcess, People, Swarm]]:
    """A coordinator and more robots than one step orders; what they left in the stream holds."""
    system = swarm_system(directory / "system")
    await system.start()
    process = CoordinatorProcess(system, directory / "one", signing_key(directory / "keys"))
    await process.start()
    try:
        await publish(await system.connect(Principal.REGISTRY), record())
        people = People(await system.connect(Principal.OPERATOR))
        enroller, trust = await system.connect(Principal.ENROLLER), directory / "keys" / "trust"
        async with running_swarm(system, trust, names(ROBOTS), enroller) as swarm:
            yield process, people, swarm
        facts = await stored_in(system, StreamName.ROLLOUTS)
        assert_nothing_happened_twice(facts)
        assert_generations_strictly_increase(facts)
        assert_decisions_are_reproduced(facts)
    finally:
        await process.stop()
        await system.close_connections()
        await system.stop()


@pytest.mark.slow
async def test_everybody_is_taken_back_once_and_nothing_of_the_dead_coordinator_stays(
    tmp_path: Path,
) -> None:
    first, second = RolloutId("first"), RolloutId("second")
    async with running(tmp_path) as (process, people, swarm):
        await people.ask(first, "1")
        await people.until(first, is_proved_everywhere)
        await people.abort(first, AbortMode.KEEP)
        await people.until(first, has_ended)
        await people.ask(second, "2")
        await people.until(second, is_proved_everywhere)
        assert process.child is not None
        signers = psutil.Process(process.child.pid).children()
        assert len(signers) == 1

        await people.abort(second, AbortMode.REVERT)
        await people.until(second, is_being_taken_back)
        await process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, signers, LIMIT_S)
        assert alive == []
        await process.start()
        swarm.poll()  # nobody nudged those who had their target when it died

        ended = await people.until(second, has_ended)
        assert ended.state is RolloutState.ABORTED
        assert {robot.serves for robot in swarm.robots.values()} == {DIGESTS["1"]}
        assert {robot.generation for robot in swarm.robots.values()} == {3}
