"""A bridge replaces itself by the next release, and is back where it was when that one is no good.

Real wheels of this tree in real environments, started by the real launcher; the test is the service
manager, which starts it again when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from edge_bridge.bridge import Bridge
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import ModelRef, Version
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    PipelineStanding,
    RobotCheckedIn,
)
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_bridge.launched_robot import Robot
from tests.integration.edge_bridge.releases import Releases, begun_with, enrolled_with, launcher_in
from tests.integration.edge_slots import tiny_models

pytestmark = pytest.mark.slow

TRIAL_S, SHORT_TRIAL_S = 60.0, 4.0
MODEL, UPDATE, BAD = 1, 2, 3
"""Generations of targets."""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    return Releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def enrolled(releases: Releases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What enrolment brought, the same for every robot of the module."""
    environment = tmp_path_factory.mktemp("opt") / "releases" / "first"
    enrolled_with(releases.pack("0.1.0"), environment)
    return environment


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (16, 16), "gray").save(tmp_path / "frames" / "grey.png")
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


@pytest.fixture
async def robot(
    fleet: Fleet, enrolled: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Robot]:
    """One that serves a model; a parameter says how long it tries a release."""
    trial_s = getattr(request, "param", TRIAL_S)
    robot = Robot(fleet, enrolled, launcher_in(fleet.directory), trial_s)
    try:
        model = tiny_models.brightness(fleet.directory, "v1")
        fleet.publish_model(model)
        await fleet.aim(model, MODEL)
        await robot.activated(model)
        yield robot
    finally:
        await robot.stop()


async def test_a_bridge_becomes_the_next_release_and_serves_on(
    robot: Robot, releases: Releases
) -> None:
    fleet, second = robot.fleet, releases.pack("0.2.0")
    fleet.publish_model(second)
    (before,) = {each.boot_id for each in fleet.heard if isinstance(each, RobotCheckedIn)}
    pid = robot.pid
    await fleet.aim(second, UPDATE)

    told = await robot.activated(second)

    assert (robot.pid, robot.starts) == (pid, 1), (
        "it became the other release, and was not restarted"
    )
    assert robot.runs == str(robot.place.python(second.digest.partition(":")[2]))
    assert told.inferences >= 10
    assert 0 < told.swap_ms < 30_000
    after = await fleet.hears(
        RobotCheckedIn,
        lambda fact: fact.boot_id != before and standing(fact).active_digest == second.digest,
    )
    assert (standing(after).active_model, after.frames_served >= 10) == (second.model, True)
    assert fleet.count(ActivationFailed) == 0


@pytest.mark.parametrize("robot", [SHORT_TRIAL_S], indirect=True)
async def test_a_release_that_hangs_is_killed_left_and_reported(
    robot: Robot, releases: Releases
) -> None:
    hangs = begun_with("__import__('time').sleep(3600)")
    fleet, bad = robot.fleet, releases.pack("0.3.0", hangs)
    fleet.publish_model(bad)
    await fleet.aim(bad, BAD)

    told = await robot.failed(BAD)

    assert (told.stage, "not proved within 4 s" in told.reason) == (ActivationStage.PROOF, True)
    first, *_ = boots(fleet)
    await fleet.hears(RobotCheckedIn, lambda fact: fact.boot_id != first and fact.frames_served > 0)
    assert str(robot.place.directory) not in robot.runs, "the release of the enrolment runs"
    assert fleet.count(ActivationFailed) == 1


async def test_a_bridge_that_is_told_to_stop_ends(robot: Robot) -> None:
    ended = robot.process
    ended.terminate()
    assert await asyncio.wait_for(ended.wait(), 5) == 0


async def test_a_release_is_tried_before_the_robot_runs_it(
    robot: Robot, releases: Releases
) -> None:
    def spoil(sources: Path) -> None:
        (sources / "bridge.py").write_text("raise ImportError('spoiled')\n")

    fleet, bad = robot.fleet, releases.pack("0.4.0", spoil)
    fleet.publish_model(bad)
    await fleet.aim(bad, BAD)

    told = await robot.failed(BAD)

    assert (told.stage, "spoiled" in told.reason) == (ActivationStage.WARM_UP, True), told.reason
    assert robot.starts == 1
    assert len(boots(fleet)) == 1, "nothing was interrupted"
    assert not robot.place.release(bad.digest.partition(":")[2]).exists()


async def test_kill_9_as_each_step_begins_leaves_a_bridge_and_the_update_goes_on(
    robot: Robot, releases: Releases
) -> None:
    steps = {f"release.{name}" for name in ("fetch", "stage", "swap", "prove")}
    robot.kill_at |= steps
    fleet, second = robot.fleet, releases.pack("0.5.0")
    fleet.publish_model(second)
    await fleet.aim(second, UPDATE)

    await robot.activated(second)

    assert not robot.kill_at, "every step was come to"
    assert robot.runs == str(robot.place.python(second.digest.partition(":")[2]))
    assert fleet.count(ActivationFailed) == 0


async def test_a_bridge_that_no_launcher_started_refuses_a_release_and_says_nothing_of_a_place_for_one(
    fleet: Fleet,
) -> None:
    made = tiny_models.brightness(fleet.directory, "v1")
    release = replace(made, model=ModelRef(BRIDGE_MODEL, Version("0.2.0")))
    fleet.publish_model(release)
    async with Bridge(fleet.settings(), source=Camera()):
        await fleet.aim(release, UPDATE)
        told = await fleet.hears(ActivationFailed)
        said = await fleet.hears(RobotCheckedIn)
    assert told.reason.startswith("self-update is not available here")
    assert said.pipelines == ()
    assert not fleet.objects.ranges, "nothing was fetched"


def standing(fact: RobotCheckedIn) -> PipelineStanding:
    """What the robot says of the bridge itself."""
    (only,) = (each for each in fact.pipelines if each.name == BRIDGE_MODEL)
    return only


def boots(fleet: Fleet) -> dict[str, None]:
    """Each run of the bridge that checked in, in order."""
    return dict.fromkeys(each.boot_id for each in fleet.heard if isinstance(each, RobotCheckedIn))
