"""A robot dies at every moment of a switch of two models: killed with -9, and without power.

Afterwards each of them serves, old or new, with the hub or without; and with it the set ends whole.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from edge_bridge.bridge import Bridge
from edge_bridge.journal import Journal
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.ticket import StagedModel
from fleetward.contracts.ids import Digest, ModelName
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from fleetward.local.child import Child, Command
from testkit import forked
from testkit.disk_image import DiskImage, format_image, mounted
from testkit.servers import NatsSystem
from tests.faults.mortal_set import COMMITTED, FETCHED, OWN
from tests.faults.test_dead_at_every_step import NOWHERE, stored
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_bridge.test_model_set import aim_both
from tests.integration.edge_bridge.test_pipelines import (
    DETECTOR,
    SEGMENTER,
    activated,
    model,
    standing,
    with_a_segmenter,
)
from tests.integration.edge_slots import tiny_models

pytestmark = pytest.mark.slow

Pair = tuple[Digest | None, Digest | None]
"""What the robot's own pipeline serves, and the segmenter's."""
WINDOW_S = 60.0
LIVES_LIMIT = 40
COMMITS = {f"{COMMITTED}-{OWN}", f"{COMMITTED}-{SEGMENTER}"}
STEPS = ("fetch", "stage", "prove")
"""Those that each of the two has to take for itself."""


def digests(models: tuple[StagedModel, StagedModel]) -> Pair:
    return models[0].digest, models[1].digest


def serving(said: RobotCheckedIn) -> Pair:
    return said.active_digest, standing(said).active_digest


class Robot:
    """One robot's lives, each ended at the first moment that ended none before."""

    def __init__(self, fleet: Fleet, disk: DiskImage) -> None:
        self.fleet = fleet
        self.disk = disk
        self.left = fleet.directory / "left"
        self.left.mkdir()
        self.moments: list[str] = []
        self.child: Child

    def live(self, *, mortal: bool) -> None:
        """Start its bridge."""
        places = (str(self.left), str(self.disk.path), str(self.disk.place))
        module = ("tests.faults.mortal_set", ",".join(self.moments), *places)
        self.child = forked.launch(
            Command(
                name="bridge",
                arguments=[sys.executable, "-m", *(module if mortal else ("edge_bridge",))],
                environment={
                    **self.fleet.environment(self.disk.place, tiny_models.SIDE_PX),
                    "FLEETWARD_PIPELINES": SEGMENTER,
                },
                directory=self.fleet.directory,
                log=self.fleet.directory / "bridge.log",
            )
        )

    async def die(self) -> None:
        self.child.send(signal.SIGKILL)
        await self.child.wait()

    async def dies_before(self, pair: Pair) -> bool:
        """Live until a new moment kills it, or until both models of ``pair`` serve for good."""
        whole = asyncio.ensure_future(self._serves_for_good(pair))
        self.live(mortal=True)
        dead = asyncio.ensure_future(self.child.wait())
        await asyncio.wait({dead, whole}, return_when=asyncio.FIRST_COMPLETED)
        if not dead.done():
            dead.cancel()
            return await whole
        whole.cancel()
        last = max(self.left.glob("*.img")).stem.partition("-")[2]
        assert last not in self.moments, "it died by itself"
        self.moments.append(last)
        return True

    async def _serves_for_good(self, pair: Pair) -> bool:
        """When its commits are behind it no new moment comes any more."""
        before = {said.boot_id for said in self.said()}
        await self.fleet.hears(
            RobotCheckedIn,
            lambda fact: (
                fact.boot_id not in before
                and serving(fact) == pair
                and set(self.moments) >= COMMITS
            ),
        )
        return False

    def said(self) -> list[RobotCheckedIn]:
        """Every check-in so far."""
        return [fact for fact in self.fleet.heard if isinstance(fact, RobotCheckedIn)]


@pytest.fixture
async def robot(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Robot]:
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (16, 16), "gray").save(tmp_path / "frames" / "grey.png")
    format_image(tmp_path / "robot.img")
    with mounted(tmp_path / "robot.img", tmp_path / "robot") as disk:
        async with running_fleet(nats_system, tmp_path) as fleet:
            robot = Robot(fleet, disk)
            robot.live(mortal=False)
            try:
                yield robot
            finally:
                await robot.die()


def own_of(state: Path) -> Pair:
    """The models that a robot counts as its own which starts with this directory."""
    journal = Journal(state / "journal.db")
    try:
        own, beside = (journal.memory(name).active for name in (None, SEGMENTER))
    finally:
        journal.close()
    return (own.digest if own else None), (beside.digest if beside else None)


def pair_of(fleet: Fleet, version: str, gain: float) -> tuple[StagedModel, StagedModel]:
    return model(fleet, DETECTOR, version, gain), model(fleet, SEGMENTER, version, gain * 0.9)


def assert_whole(state: Path, old: Pair, new: Pair) -> Pair:
    """No file is torn, and each pipeline has a model of its own, which is there."""
    own, models = own_of(state), stored(state)
    assert [name for name, content in models.items() if name != content] == [], "torn models"
    for each, allowed in zip(own, zip(old, new, strict=True), strict=True):
        assert each in allowed
        assert each in models
    return own


async def assert_serves_alone(fleet: Fleet, state: Path, own: Pair) -> None:
    """Without a network each pipeline answers frames with its own model."""
    answers: dict[ModelName | None, Digest] = {}
    answered = asyncio.Event()

    def hear(done: InferenceDone) -> None:
        answers.setdefault(done.pipeline, done.digest)
        if len(answers) == len(own):
            answered.set()

    settings = with_a_segmenter(fleet, state_dir=state, nats_url=NOWHERE)
    async with Bridge(settings, source=Camera(), on_result=hear):
        await asyncio.wait_for(answered.wait(), WAIT_S)
    assert (answers[None], answers[SEGMENTER]) == own


async def assert_survives_power_cuts(robot: Robot, scratch: Path, old: Pair, new: Pair) -> None:
    """What is left of the disk serves, with a cable or without."""
    seen: set[Pair] = set()
    for image in sorted(robot.left.glob("*.img")):
        with mounted(image, scratch) as left:
            own = assert_whole(left.place, old, new)
            if own not in seen:
                seen.add(own)
                await assert_serves_alone(robot.fleet, left.place, own)
    assert seen > {old, new}, "it died between the two commits"


async def test_two_models_serve_old_or_new_after_death_at_every_moment_of_their_switch(
    robot: Robot, tmp_path: Path
) -> None:
    fleet = robot.fleet
    first, second = pair_of(fleet, "v1", 1.0), pair_of(fleet, "v2", 0.5)
    old, new = digests(first), digests(second)
    await aim_both(fleet, *first, 1)
    for each in first:
        await activated(fleet, each)
    await robot.die()

    before = len(robot.said())
    await aim_both(fleet, *second, 2, health_window_s=WINDOW_S)
    while await robot.dies_before(new):
        assert_whole(robot.disk.place, old, new)
        assert len(robot.moments) < LIVES_LIMIT
    await robot.die()

    both = {f"{step}-{of}" for step in STEPS for of in (OWN, SEGMENTER)}
    assert both | COMMITS <= set(robot.moments)
    assert {moment.partition("-")[0] for moment in robot.moments} >= {FETCHED, "swap"}
    for said in robot.said()[before:]:
        for pipeline, allowed in zip(serving(said), zip(old, new, strict=True), strict=True):
            assert pipeline in {None, *allowed}, "None: its worker is loading at a start"
    told = [fact.digest for fact in fleet.heard if isinstance(fact, ModelActivated)]
    assert Counter(told) == Counter((*old, *new)), "each is told of once"
    await assert_survives_power_cuts(robot, tmp_path / "scratch", old, new)
