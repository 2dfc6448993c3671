"""A robot of two models that switch together, which dies again and again, on a disk that loses power."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from edge_bridge.bridge import Bridge
from edge_bridge.journal import Journal
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import Digest, ModelName
from fleetward.contracts.robots import ModelActivated, ModelFellBack, RobotCheckedIn
from fleetward.local.child import Child, Command
from testkit import forked
from testkit.disk_image import DiskImage, format_image, mounted
from testkit.servers import NatsSystem
from tests.faults.mortal_set import COMMITTED, LEFT, OWN, WRITING
from tests.faults.test_dead_at_every_step import NOWHERE, stored
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_bridge.test_pipelines import (
    DETECTOR,
    SEGMENTER,
    model,
    standing,
    with_a_segmenter,
)
from tests.integration.edge_slots import tiny_models

Pair = tuple[Digest | None, Digest | None]
"""What the robot's own pipeline serves, and the segmenter's."""
LIVES_LIMIT = 40
COMMITS = {f"{COMMITTED}-{OWN}", *(f"{WRITING}-{COMMITTED}-{of}" for of in (OWN, SEGMENTER))}


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

    def live(self, *, mortal: bool, kind: str = "") -> None:
        """Start its bridge; a mortal one dies at the first moment of this kind, empty: of any."""
        places = (str(self.left), str(self.disk.path), str(self.disk.place))
        module = ("tests.faults.mortal_set", ",".join(self.moments), kind, *places)
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
        self._count_death()
        return True

    def _count_death(self) -> None:
        last = max(self.left.glob("*.img")).stem.partition("-")[2]
        assert last not in self.moments, "it died by itself"
        self.moments.append(last)

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

    async def dies_as_it_returns(self, pair: Pair, generation: int) -> bool:
        """Take ``pair`` and lose the worker of one: until a new moment of the return from it kills it too.

        False: it was left without another death.
        """
        self.live(mortal=True, kind=LEFT)
        for digest in pair:
            await self.hears(ModelActivated, "digest", digest, generation)
        os.kill(max(self.workers()), signal.SIGKILL)
        left = asyncio.gather(
            *(self.hears(ModelFellBack, "from_digest", digest, generation) for digest in pair)
        )
        dead = asyncio.ensure_future(self.child.wait())
        ended: set[asyncio.Future[Any]] = {dead, left}
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        if not dead.done():
            dead.cancel()
            await left
            return False
        left.cancel()
        await asyncio.wait({left})
        self._count_death()
        return True

    async def serves(self, pair: Pair) -> None:
        """Until a bridge that starts now says so."""
        before = {said.boot_id for said in self.said()}
        await self.fleet.hears(
            RobotCheckedIn, lambda fact: fact.boot_id not in before and serving(fact) == pair
        )

    async def hears(
        self,
        kind: type[ModelActivated | ModelFellBack],
        named: str,
        digest: Digest | None,
        generation: int,
    ) -> None:
        """What the robot says of one model of a target."""
        await self.fleet.hears(
            kind,
            lambda fact: (getattr(fact, named), fact.generation) == (digest, generation),
        )

    def workers(self) -> list[int]:
        """The processes of its workers, of which the newest have the highest numbers."""
        pid = self.child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [
            each
            for each in map(int, children.split())
            if b"edge_bridge.workers.worker" in Path(f"/proc/{each}/cmdline").read_bytes()
        ]


@asynccontextmanager
async def running_robot(nats_system: NatsSystem, directory: Path) -> AsyncIterator[Robot]:
    """One that has no target yet."""
    (directory / "frames").mkdir()
    Image.new("RGB", (16, 16), "gray").save(directory / "frames" / "grey.png")
    format_image(directory / "robot.img")
    with mounted(directory / "robot.img", directory / "robot") as disk:
        async with running_fleet(nats_system, directory) as fleet:
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
    """No file is torn, and both pipelines have a model of their own of one set, which is there."""
    own, models = own_of(state), stored(state)
    assert [name for name, content in models.items() if name != content] == [], "torn models"
    assert own in {old, new}
    assert set(own) <= set(models)
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
    assert seen == {old, new}
