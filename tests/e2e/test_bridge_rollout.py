"""A release of the bridge is rolled out as a model is: real registry, store, coordinator and launchers.

The tests of this file follow each other: each finds the robots as the one before left them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec import Struct
from msgspec.structs import replace

from examples.demo import releases as demo
from examples.demo import wheels
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import PipelineStanding
from fleetward.contracts.rollouts import (
    RobotPhase,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
)
from fleetward.local.programs import process_of
from tests.faults.conftest import QUICK, Fleetward, running
from tests.integration.edge_bridge.releases import (
    Change,
    Releases,
    as_it_is,
    begun_with,
    enrolled_with,
    launcher_in,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ENROLLED = (RobotId("robot-1"), RobotId("robot-2"))
"""robot-3 has no launcher."""
PATIENT = replace(QUICK, wave_percents=(100,), bake_s=600.0)
WAIT_S = 240.0


class Robots(Struct, frozen=True):
    """The running system, and releases for it."""

    system: Fleetward
    releases: Releases

    async def publish(self, version: str, change: Change = as_it_is) -> None:
        packed = await asyncio.to_thread(self.releases.pack, version, change)
        await self.system.fleet.push_model(packed.path, BRIDGE_MODEL, version)

    async def start(self, version: str, policy: RolloutPolicy = QUICK) -> Rollout:
        return await self.system.fleet.start_rollout(
            f"{BRIDGE_MODEL}:{version}", "all", strategy=Strategy.CANARY, policy=policy
        )

    async def ended(self, rollout: Rollout) -> Rollout:
        return await self.system.fleet.wait_rollout(rollout.rollout_id, timeout_s=WAIT_S)

    async def standings(self) -> dict[RobotId, PipelineStanding]:
        """What each says of its own bridge."""
        return {
            robot.enrolled.robot_id: each
            for robot in await self.system.fleet.robots()
            if robot.last is not None
            for each in robot.last.pipelines
            if each.name == BRIDGE_MODEL
        }

    async def run(self, version: str) -> None:
        """Wait until both say that this is their own release."""
        async with asyncio.timeout(WAIT_S):
            while True:
                told = {str(each.active_model) for each in (await self.standings()).values()}
                if told == {f"{BRIDGE_MODEL}:{version}"}:
                    return
                await asyncio.sleep(0.2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robots(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robots]:
    """Three robots that serve the demo's model."""
    home, opt = tmp_path_factory.mktemp("system"), tmp_path_factory.mktemp("opt")
    models = wheels.REPOSITORY / demo.DESTINATION
    demo.materialise(models)
    releases = Releases(tmp_path_factory.mktemp("releases"))
    enrolled_with(releases.pack("0.1.0"), opt / "releases" / "first")
    environment, launcher = str(opt / "releases" / "first"), str(launcher_in(opt))
    programs = {
        process_of(robot): (
            *(f"{environment}/bin/python", "-IS", launcher),
            *(str(home / "robots" / robot), environment),
        )
        for robot in ENROLLED
    }
    async with running(home, models, len(ENROLLED) + 1, programs) as system:
        await system.fleet.push_model(models / "v1.onnx", demo.MODEL_NAME, "v1")
        begun = await system.start("v1", Strategy.ALL_AT_ONCE)
        ended = await system.fleet.wait_rollout(begun.rollout_id, timeout_s=WAIT_S)
        assert ended.state is RolloutState.SUCCEEDED, ended.reason
        yield Robots(system, releases)


async def test_a_release_reaches_the_robots_that_can_take_it(robots: Robots) -> None:
    await robots.publish("0.2.0")
    begun = await robots.start("0.2.0")
    assert set(begun.robots) == set(ENROLLED), "robot-3 is left out"

    ended = await robots.ended(begun)

    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    assert {held.phase for held in ended.robots.values()} == {RobotPhase.PROVED}
    await robots.run("0.2.0")


async def test_a_release_that_dies_is_taken_back_before_it_reaches_the_second_robot(
    robots: Robots,
) -> None:
    await robots.run("0.2.0")
    await robots.publish("0.3.0", begun_with("os.kill(os.getpid(), 9)"))

    ended = await robots.ended(await robots.start("0.3.0"))

    assert ended.state is RolloutState.REVERTED
    assert "started 2 times and ended each time" in " ".join(
        (ended.reason, *(held.reason for held in ended.robots.values()))
    )
    assert {held.generation for held in ended.robots.values()} == {1, 3}, (
        "only the first was given it"
    )
    await robots.run("0.2.0")


async def test_robots_go_back_to_the_release_before_when_they_are_told_to(robots: Robots) -> None:
    await robots.run("0.2.0")
    await robots.publish("0.4.0")
    begun = await robots.start("0.4.0", PATIENT)
    await robots.run("0.4.0")

    await robots.system.fleet.control_rollout(
        begun.rollout_id, ControlAction.ABORT, abort=AbortMode.REVERT
    )

    assert (await robots.ended(begun)).state is RolloutState.ABORTED
    await robots.run("0.2.0")
