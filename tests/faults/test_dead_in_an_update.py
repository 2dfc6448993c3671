"""A robot dies at every step of its bridge's own update: killed with -9, and without power. A bridge serves.

The steps are those of ``converging/actions.py`` that a release can take, and what is decided are the fields
of the launcher's ``Choice``: new ones have to be reached here too.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from edge_bridge.converging import actions
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelStaged,
    RobotCheckedIn,
    TargetMode,
)
from fleetward.releases import launch
from fleetward.releases.launch import Choice
from testkit import power_cut
from testkit.disk_image import DiskImage, format_image, mounted
from testkit.servers import NatsSystem
from tests.faults import mortal_release
from tests.faults.left_releases import Judge
from tests.faults.mortal_bridge import EVERY_CUT
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_bridge.launched_robot import Robot
from tests.integration.edge_bridge.releases import Change, Releases, begun_with, enrolled_with
from tests.integration.edge_bridge.test_withdrawals import withdraw
from tests.integration.edge_slots import tiny_models

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
"""With ``FLEETWARD_TEST_EVERY_CUT`` there are some hundred disks to look at."""

OF_MODELS = {actions.StartShadow, actions.Compare, actions.EndShadow, actions.Restore}
"""A release is no shadow and switches with no model: ``ReleaseSteps.refuse``."""
STEPS = {each.__name__.lower() for each in set(get_args(actions.Action)) - OF_MODELS}
MOMENTS = {
    f"{moment}-{what}"
    for moment in ("before", "after")
    for what in ("choice", "memory", "install", "check", "sync")
}
SMALL_BYTES = 50_000
"""What else a release holds lies elsewhere: a small disk is copied while nothing writes to it."""
TRIAL_S = 60.0
LAUNCHER = """\
import sys
sys.path.insert(0, "{directory}")
import mortal_release
mortal_release.launch("{directory}/real_launch.py", sys.argv)
"""
ARMED = begun_with("__import__('mortal_release').arm()")
BAD = begun_with("raise SystemExit('bad')")


class MortalRobot(Robot):
    """Its launcher and its releases are armed, and it dies as each step begins that it has not died at."""

    def __init__(self, fleet: Fleet, enrolled: Path, programs: Path, disk: DiskImage) -> None:
        self.left = fleet.directory / "left"
        self.left.mkdir()
        self._programs = programs
        self._disk = disk
        super().__init__(fleet, enrolled, programs / "launch.py", TRIAL_S)

    def cut_and_die(self, when: str) -> None:
        """From outside, whatever it does."""
        self._disk.cut(self.left / f"{time.monotonic_ns():020}-{when}.img")
        self.process.kill()

    @property
    def steps_left(self) -> set[str]:
        """Those that it has not died at."""
        died = {path.stem.partition("-")[2] for path in self.left.iterdir()}
        self._died = getattr(self, "_died", set()) | died
        return STEPS - self._died

    def environment(self) -> dict[str, str]:
        cuts = {
            "left": str(self.left),
            "image": str(self._disk.path),
            "statistics": str(self._disk.statistics),
            "place": str(self._disk.place),
            "steps": sorted(self.steps_left),
            "every": bool(os.environ.get(EVERY_CUT)),
        }
        return {
            **super().environment(),
            mortal_release.CUTS: json.dumps(cuts),
            "PYTHONPATH": str(self._programs),
            "FLEETWARD_CHECK_IN_S": "1",  # the disk has to rest for a moment to be copied
        }


def programs_in(directory: Path) -> Path:
    """The launcher, and what arms it and the releases, as one directory."""
    (directory / "testkit").mkdir(parents=True)
    shutil.copy(launch.__file__, directory / "real_launch.py")
    shutil.copy(mortal_release.__file__, directory)
    shutil.copy(power_cut.__file__, directory / "testkit")
    (directory / "launch.py").write_text(LAUNCHER.format(directory=directory))
    return directory


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    return Releases(tmp_path_factory.mktemp("releases"), SMALL_BYTES)


@pytest.fixture
async def robot(
    nats_system: NatsSystem, releases: Releases, tmp_path: Path
) -> AsyncIterator[MortalRobot]:
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (16, 16), "gray").save(tmp_path / "frames" / "grey.png")
    format_image(tmp_path / "robot.img")
    programs = programs_in(tmp_path / "programs")
    with mounted(tmp_path / "robot.img", tmp_path / "robot") as disk:
        enrolled_with(releases.pack("0.1.0", ARMED), tmp_path / "opt" / "first")
        async with running_fleet(nats_system, tmp_path) as fleet:
            robot = MortalRobot(fleet, tmp_path / "opt" / "first", programs, disk)
            try:
                yield robot
            finally:
                await robot.stop()


class Story:
    """Targets one after the other; what each left is judged when it ended."""

    def __init__(self, robot: MortalRobot, releases: Releases, judge: Judge) -> None:
        self.robot = robot
        self._releases = releases
        self._judge = judge
        self._generation = 0

    def release(self, version: str, change: Change = ARMED) -> StagedModel:
        """Published."""
        packed = self._releases.pack(version, change)
        self.robot.fleet.publish_model(packed)
        return packed

    async def aim(self, release: StagedModel, **said: object) -> int:
        """The next target's generation."""
        self._generation += 1
        await self.robot.fleet.aim(release, self._generation, **said)  # type: ignore[arg-type]
        return self._generation

    async def becomes(self, release: StagedModel) -> None:
        generation = await self.aim(release)
        await self.robot.fleet.hears(ModelActivated, lambda fact: fact.generation == generation)
        await self.judged()

    async def holds(self, release: StagedModel) -> None:
        generation = await self.aim(release, mode=TargetMode.STAGE)
        await self.robot.fleet.hears(ModelStaged, lambda fact: fact.generation == generation)
        await self.judged()

    async def waits_with(self, release: StagedModel) -> None:
        generation = await self.aim(release, interlocks=("docked",))
        await self.robot.fleet.hears(
            RobotCheckedIn,
            lambda fact: any(
                each.generation == generation and each.held_back for each in fact.pipelines
            ),
        )
        await self.judged()

    async def refuses(self, release: StagedModel) -> None:
        generation = await self.aim(release)
        await self.robot.failed(generation)
        await self.judged()

    async def rests(self) -> None:
        """The one step that nobody announces: nothing is to be done."""
        self.robot.cut_and_die("rest")
        await self.judged()

    async def is_damaged(self, brought: int) -> None:
        """The release that runs cannot be started again; ``brought``: the generation that it came by."""
        place = self.robot.place
        place.complete(place.read().own).unlink()
        self.robot.process.kill()
        await self.robot.failed(brought)
        await self.judged()

    async def judged(self) -> None:
        assert self.robot.steps_left is not None, "remembered before the images go"
        await self._judge.judge(self.robot.left)


async def every_turn(story: Story) -> None:
    """Targets that lead through all steps there are."""
    fleet = story.robot.fleet
    model = tiny_models.brightness(fleet.directory, "v1")
    fleet.publish_model(model)
    await story.aim(model)
    await story.robot.activated(model)
    second, third = story.release("0.2.0"), story.release("0.3.0")
    await story.becomes(second)
    await story.holds(third)
    await story.waits_with(third)
    await story.becomes(third)
    await story.becomes(second)
    await story.refuses(story.release("0.4.0", BAD))
    await withdraw(fleet, 1, third)
    await story.refuses(third)
    await story.rests()
    await story.is_damaged(brought=6)


async def test_a_bridge_and_a_model_come_up_after_kill_9_and_power_cut_at_every_step_of_an_update(
    robot: MortalRobot, releases: Releases, tmp_path: Path
) -> None:
    programs, enrolled = tmp_path / "programs", tmp_path / "opt" / "first"
    judge = Judge(robot, enrolled, programs / "launch.py", tmp_path / "scratch")
    await every_turn(Story(robot, releases, judge))

    assert not robot.steps_left, "these steps have no case here: add a turn that leads to them"
    assert set(Choice._fields) - judge.changed == set(), "these have no case here either"
    assert judge.looked_at >= MOMENTS
    assert judge.restarts > len(STEPS)
    told = [fact.generation for fact in robot.fleet.heard if isinstance(fact, ModelActivated)]
    assert told == sorted(set(told)), "nothing is reported twice"
    failed = [fact.generation for fact in robot.fleet.heard if isinstance(fact, ActivationFailed)]
    assert failed == [7, 8, 6]
