"""A robot is enrolled over SSH with a published release, updates itself, and is taken back to that release.

Real registry, store, coordinator, SSH server and launcher.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct
from msgspec.structs import replace
from typer.testing import CliRunner

from examples.demo import releases as demo
from examples.demo import wheels
from fleetward.cli.__main__ import app
from fleetward.cli.exits import Exit
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import PipelineStanding
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.enrolment.layout import UNIT
from testkit import systemctl
from testkit.ssh_server import SshServer
from tests.faults.conftest import QUICK, Fleetward, running
from tests.integration.edge_bridge.releases import Releases

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOT = RobotId("arm-7")
FIRST, SECOND = (f"{BRIDGE_MODEL}:{version}" for version in ("0.1.0", "0.2.0"))
PATIENT = replace(QUICK, wave_percents=(100,), bake_s=600.0)
WAIT_S = 240.0


class Robot(Struct, frozen=True):
    """A machine behind an SSH server, and the system that it joins. root: where its files lie."""

    system: Fleetward
    server: SshServer
    root: Path

    async def enrol(self, *words: str) -> tuple[int, dict[str, Any]]:
        """As a person does; exit code and result."""
        options = [
            *("--name", ROBOT, "--label", "site=field", "--trust-first-use"),
            *("--account", self.server.login, "--python", sys.executable),
            *("--identity", str(self.server.client_key), "--prefix", str(self.root)),
            *("--home", str(self.system.system.home.path), "--json"),
        ]
        argv = ["robot", "enroll", self.server.destination, *options, *words]
        told = {"HOME": str(self.root), "SSH_AUTH_SOCK": ""}
        ran = await asyncio.to_thread(CliRunner().invoke, app, argv, env=told)
        (result,) = json.loads(ran.stdout or f"[{json.dumps({'reason': ran.stderr})}]")
        return ran.exit_code, result

    async def runs(self, release: str) -> PipelineStanding:
        """What it says of its bridge once that is the release."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for robot in await self.system.fleet.robots():
                    if robot.enrolled.robot_id == ROBOT and robot.last is not None:
                        for each in robot.last.pipelines:
                            if str(each.active_model) == release:
                                return each
                await asyncio.sleep(0.2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robot]:
    """A bare machine, and a registry with two releases for it."""
    home, directory = tmp_path_factory.mktemp("system"), tmp_path_factory.mktemp("machine")
    models = wheels.REPOSITORY / demo.DESTINATION
    demo.materialise(models)
    releases = Releases(tmp_path_factory.mktemp("releases"))
    server, root = SshServer(directory / "ssh"), directory / "robot"
    root.mkdir()
    systemctl.install(server.programs, root)
    async with running(home, models, 1) as system:
        for version in ("0.1.0", "0.2.0"):
            packed = await asyncio.to_thread(releases.pack, version)
            await system.fleet.push_model(packed.path, BRIDGE_MODEL, version)
        await server.start()
        try:
            yield Robot(system, server, root)
        finally:
            systemctl.Machine(root, UNIT).stop()
            await server.stop()


async def test_a_robot_is_taken_back_to_the_release_that_it_was_enrolled_with(
    robot: Robot,
) -> None:
    code, enrolled = await robot.enrol("--release", FIRST)
    assert code == Exit.OK, enrolled["reason"]
    assert any(f" of {FIRST} into " in change for change in enrolled["changes"])
    brought = await robot.runs(FIRST)
    fleet = robot.system.fleet
    assert brought.active_digest == (await fleet.model(FIRST)).manifest.digest

    begun = await fleet.start_rollout(
        SECOND, "site=field", strategy=Strategy.CANARY, policy=PATIENT
    )
    assert begun.robots[ROBOT].previous_digest == brought.active_digest
    await robot.runs(SECOND)
    await fleet.control_rollout(begun.rollout_id, ControlAction.ABORT, abort=AbortMode.REVERT)

    ended = await fleet.wait_rollout(begun.rollout_id, timeout_s=WAIT_S)
    assert ended.state is RolloutState.ABORTED, ended.reason
    assert (await robot.runs(FIRST)).active_digest == brought.active_digest


async def test_enrolling_with_the_same_release_again_changes_nothing(robot: Robot) -> None:
    code, again = await robot.enrol("--release", FIRST)
    assert (code, again["result"], again["changes"]) == (Exit.OK, "unchanged", []), again["reason"]


async def test_a_setting_that_a_release_cannot_meet_is_refused(robot: Robot) -> None:
    code, refused = await robot.enrol("--release", FIRST, "--setting", "FLEETWARD_RULES=shipped")
    assert code == Exit.FAILED
    assert "bridge push --extra rules" in refused["reason"]
