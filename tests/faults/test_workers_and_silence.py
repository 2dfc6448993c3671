"""Workers that keep dying and robots that fall silent: the fleet serves, the rollout ends right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from examples.demo import releases
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState
from tests.faults.conftest import QUICK, Fleetward, running
from tests.faults.fleet_facts import check_in, rollout_that, serves
from tests.faults.silence import bridge_of, silences, silent_once_more, stopped

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOTS = ("robot-1", "robot-2", "robot-3")
KILLS = 5
BETWEEN_KILLS_S = 0.5
SILENT_AFTER_S = 4.0
PAST_BAKE_S = 2.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleetward(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleetward]:
    """One more robot than elsewhere: of three, two are enough for some thresholds."""
    async with running(tmp_path_factory.mktemp("system"), models, len(ROBOTS)) as system:
        yield system


def kill_workers(system: Fleetward, robot: str) -> int:
    """kill -9 whatever runs a model for ``robot`` now; returns how many that were."""
    workers = [
        child
        for child in bridge_of(system, robot).children()
        if "edge_bridge.workers.worker" in " ".join(child.cmdline())
    ]
    for worker in workers:
        worker.kill()
    return len(workers)


async def test_workers_killed_again_and_again_leave_no_robot_without_a_model(
    fleetward: Fleetward,
) -> None:
    first, second = await fleetward.publish_build(1), await fleetward.publish_build(2)
    rollout = await fleetward.start(first)
    assert (await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)).state is (
        RolloutState.SUCCEEDED
    )
    boots = {robot: (await serves(fleetward, robot, first)).boot_id for robot in ROBOTS}

    rollout = await fleetward.start(second)
    killed = 0
    for _ in range(KILLS):
        killed += kill_workers(fleetward, "robot-1")
        await asyncio.sleep(BETWEEN_KILLS_S)
    assert killed >= KILLS / 2

    ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
    assert ended.state in {RolloutState.SUCCEEDED, RolloutState.REVERTED}
    served = second if ended.state is RolloutState.SUCCEEDED else first
    for robot in ROBOTS:
        said = await serves(fleetward, robot, served)
        assert said.boot_id == boots[robot], "a dead worker must not end the bridge"


async def started(system: Fleetward, version: str, min_success_percent: float) -> Rollout:
    """A rollout in one wave that does not wait long for the silent."""
    policy = replace(
        QUICK,
        wave_percents=(100,),
        silent_after_s=SILENT_AFTER_S,
        min_success_percent=min_success_percent,
    )
    return await system.fleet.start_rollout(
        f"{releases.MODEL_NAME}:{version}", "all", policy=policy
    )


def unknown(rollout: Rollout) -> list[RobotId]:
    """Robots that the rollout gave up waiting for."""
    return [
        robot for robot, progress in rollout.robots.items() if progress.phase is RobotPhase.UNKNOWN
    ]


async def test_a_silent_robot_that_the_threshold_spares_is_left_and_converges_when_it_is_back(
    fleetward: Fleetward,
) -> None:
    version = await fleetward.publish_build(3)
    before = await silences(fleetward, "robot-2")
    async with stopped(fleetward, "robot-2"):
        rollout = await started(fleetward, version, min_success_percent=60)
        ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
        assert ended.state is RolloutState.SUCCEEDED, ended.reason
        assert unknown(ended) == ["robot-2"]
        assert "2 of 3" in ended.reason
        await silent_once_more(fleetward, "robot-2", before)
    await serves(fleetward, "robot-2", version)
    assert await silences(fleetward, "robot-2") == before + 1


async def test_a_silent_robot_too_many_halts_and_comes_back_to_the_model_before(
    fleetward: Fleetward,
) -> None:
    version = await fleetward.publish_build(4)
    said = await check_in(fleetward, "robot-1")
    assert said is not None
    assert said.active_model is not None
    async with stopped(fleetward, "robot-3"):
        rollout = await started(fleetward, version, min_success_percent=95)
        halted = await rollout_that(
            fleetward, rollout, lambda now: now.state is RolloutState.REVERTING
        )
        assert "only 2 of 3 robots proved the model (0 failed, 1 unknown)" in halted.reason
    ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
    assert ended.state is RolloutState.REVERTED
    for robot in ROBOTS:
        await serves(fleetward, robot, said.active_model.version)


async def test_a_robot_that_falls_silent_after_its_proof_holds_the_wave_until_it_is_heard(
    fleetward: Fleetward,
) -> None:
    version = await fleetward.publish_build(5)
    policy = replace(QUICK, wave_percents=(34, 100), bake_s=10.0)
    rollout = await fleetward.fleet.start_rollout(
        f"{releases.MODEL_NAME}:{version}", "all", policy=policy
    )
    proved = await rollout_that(
        fleetward,
        rollout,
        lambda now: any(of.phase is RobotPhase.PROVED for of in now.robots.values()),
    )
    baked = time.monotonic() + policy.bake_s
    canary = next(robot for robot, of in proved.robots.items() if of.phase is RobotPhase.PROVED)
    async with stopped(fleetward, canary):
        held_up = await rollout_that(
            fleetward, rollout, lambda now: now.robots[canary].silent_at is not None
        )
        assert held_up.wave == 0
        # That a wave does not end is seen when it would have ended.
        await asyncio.sleep(baked + PAST_BAKE_S - time.monotonic())
        still = await fleetward.fleet.rollout(rollout.rollout_id)
        assert (still.wave, still.robots[canary].phase) == (0, RobotPhase.TARGETED)
    ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    assert {of.phase for of in ended.robots.values()} == {RobotPhase.PROVED}
