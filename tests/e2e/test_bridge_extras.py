"""A robot that uses extras of the bridge updates itself: real registry, store, coordinator and launcher.

The tests of this file follow each other: each finds the robot as the one before left it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct
from typer.testing import CliRunner

from edge_bridge.workers.staged_model import StagedModel
from examples.demo import releases as demo
from examples.demo import wheels
from fleetward.cli.__main__ import app
from fleetward.cli.exits import Exit
from fleetward.client.errors import RolloutRefusedError
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef, RobotId, Version
from fleetward.contracts.rollouts import Rollout, RolloutState, Strategy
from fleetward.enrolment.release import pack
from fleetward.enrolment.wheelhouse import Wheelhouse
from fleetward.local.ports import free_port
from fleetward.local.programs import process_of
from tests.faults.conftest import QUICK, Fleetward, running
from tests.integration.edge_bridge.releases import HERE, enrolled_with, launcher_in, versioned
from tests.integration.edge_bridge.viewer import viewer
from tests.integration.enrolment.installed_wheels import fill
from tools.own_wheels import build

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOT = RobotId("robot-1")
EXTRAS = ("foxglove", "rules")
WAIT_S = 240.0


class Robot(Struct, frozen=True):
    """The only one of a running system. port: where it is seen live. house: wheels for its releases."""

    system: Fleetward
    house: Path
    port: int

    async def push(self, *words: str) -> dict[str, Any]:
        """As a person does."""
        machine = ("--arch", HERE.arch, "--python", HERE.python, "--glibc", HERE.glibc)
        places = ("--wheelhouse", str(self.house), "--home", str(self.system.system.home.path))
        argv = ["bridge", "push", *machine, *places, "--json", *words]
        ran = await asyncio.to_thread(CliRunner().invoke, app, argv)
        assert ran.exit_code == Exit.OK, ran.stderr
        pushed: dict[str, Any] = json.loads(ran.stdout)
        return pushed

    async def roll_out(self, version: str) -> Rollout:
        """To its end."""
        begun = await self.system.fleet.start_rollout(
            f"{BRIDGE_MODEL}:{version}", "all", strategy=Strategy.CANARY, policy=QUICK
        )
        return await self.system.fleet.wait_rollout(begun.rollout_id, timeout_s=WAIT_S)

    def said(self, event: str) -> int:
        """How often its bridge logged it."""
        log = self.system.system.home.log(process_of(ROBOT)).read_text()
        return log.count(f'"{event}"')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robot]:
    """Judges itself by the shipped rules, records all the time, and is seen in Foxglove."""
    home, opt = tmp_path_factory.mktemp("system"), tmp_path_factory.mktemp("opt")
    models = wheels.REPOSITORY / demo.DESTINATION
    demo.materialise(models)
    house, first, port = opt / "wheelhouse", opt / "first.tar", free_port()
    fill(house, EXTRAS)
    pack(Wheelhouse(house), HERE, first, EXTRAS)
    build(house, versioned("0.2.0"))
    release = StagedModel(
        model=ModelRef(BRIDGE_MODEL, Version("0.1.0")),
        digest=Digest("sha256:" + 64 * "0"),
        path=first,
    )
    enrolled_with(release, opt / "releases" / "first")
    environment = str(opt / "releases" / "first")
    program = (
        *(f"{environment}/bin/python", "-IS", str(launcher_in(opt))),
        *(str(home / "robots" / ROBOT), environment),
    )
    uses = {
        "FLEETWARD_RULES": "shipped",
        "FLEETWARD_FOXGLOVE": str(port),
        "FLEETWARD_CONTINUOUS_TOPICS": "/facts",
    }
    async with running(home, models, 1, {process_of(ROBOT): program}, environment=uses) as system:
        await system.fleet.push_model(models / "v1.onnx", demo.MODEL_NAME, "v1")
        begun = await system.start("v1", Strategy.ALL_AT_ONCE)
        ended = await system.fleet.wait_rollout(begun.rollout_id, timeout_s=WAIT_S)
        assert ended.state is RolloutState.SUCCEEDED, ended.reason
        yield Robot(system, house, port)


async def test_a_release_without_what_the_robot_uses_is_not_given_to_it_and_the_extra_is_named(
    robot: Robot,
) -> None:
    await robot.push("--version", "0.2.0-plain")

    with pytest.raises(RolloutRefusedError, match="--extra foxglove --extra rules"):
        await robot.roll_out("0.2.0-plain")

    (status,) = await robot.system.fleet.robots()
    assert status.last is not None
    assert status.last.extras == EXTRAS
    assert robot.said("rules.on") == 1, "the bridge was not restarted"


async def test_a_release_with_the_extras_that_a_robot_uses_runs_and_does_what_they_are_for(
    robot: Robot,
) -> None:
    pushed = await robot.push("--extra", "rules", "--extra", "foxglove")
    assert pushed["metadata"]["extras"] == "foxglove, rules"

    ended = await robot.roll_out("0.2.0")

    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    async with viewer(robot.port) as one:
        await one.subscribe("/results")
        assert (await one.sees()).json["frame"] > 0
    assert (robot.said("rules.on"), robot.said("rules.off")) == (2, 0)
    (status,) = await robot.system.fleet.robots()
    assert status.last is not None
    (standing,) = (each for each in status.last.pipelines if each.name == BRIDGE_MODEL)
    assert str(standing.active_model) == f"{BRIDGE_MODEL}:0.2.0"
