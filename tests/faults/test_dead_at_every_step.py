"""A robot dies at every step of converge: killed with -9, and without power. The old or the new model serves.

The steps are those of ``converging/actions.py``: a new one has to be reached here too.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import Struct
from PIL import Image

from edge_bridge.bridge import Bridge
from edge_bridge.converging import actions
from edge_bridge.converging.converge import Memory
from edge_bridge.files import Disk, Files
from edge_bridge.journal import Journal
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.codec import decode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
    TargetMode,
)
from fleetward.local.child import Child, Command
from testkit import forked
from testkit.disk_image import DiskImage, format_image, mounted
from testkit.servers import NatsSystem
from tests.faults.mortal_bridge import AFTER, BEFORE, MEMORY
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_bridge.test_withdrawals import withdraw
from tests.integration.edge_slots import tiny_models

pytestmark = pytest.mark.slow

STEPS = frozenset(
    action.__name__.lower()
    for action in get_args(actions.Action)
    if action is not actions.Restore  # only models that switch together: test_dead_in_a_set.py
)
WINDOW_S = 60.0
NOWHERE = "nats://127.0.0.1:1"


class Turn(Struct, frozen=True, kw_only=True):
    """One target. ends: what the robot says once it did what it could."""

    model: StagedModel
    ends: type[Event]
    mode: TargetMode = TargetMode.SERVE
    interlocks: tuple[str, ...] = ()


class Robot:
    """One robot's lives, each ended by the first step that ended none before."""

    def __init__(self, fleet: Fleet, disk: DiskImage) -> None:
        self.fleet = fleet
        self.disk = disk
        self.left = fleet.directory / "left"
        self.left.mkdir()
        self.steps_left = set(STEPS)
        self.served: Digest | None = None
        """What it said that it serves for good."""
        self.child: Child
        self.lives = 0

    def live(self) -> None:
        """Start its bridge."""
        self.lives += 1
        command = Command(
            name="bridge",
            arguments=[
                *(sys.executable, "-m", "tests.faults.mortal_bridge", ",".join(self.steps_left)),
                *(str(self.left), str(self.disk.path), str(self.disk.place)),
            ],
            environment=self.fleet.environment(self.disk.place, tiny_models.SIDE_PX),
            directory=self.fleet.directory,
            log=self.fleet.directory / "bridge.log",
        )
        self.child = forked.launch(command)

    async def take(self, turn: Turn, generation: int) -> None:
        """Go through a target, dying on the way as often as there are new steps."""
        reached = asyncio.ensure_future(self._ends(turn, generation))
        await self.fleet.aim(
            turn.model,
            generation,
            mode=turn.mode,
            interlocks=turn.interlocks,
            health_window_s=WINDOW_S,
        )
        while await self._died_before(reached):
            self.rise()
            await self.serves_one_of({self.served, turn.model.digest})
        if turn.ends is ModelActivated:
            self.served = turn.model.digest

    def rise(self) -> None:
        """It was killed: what it left is whole, and it starts again."""
        last = max(self.left.glob("*.img"))
        self.steps_left.discard(last.stem.partition("-")[2])
        assert_whole(self.disk.place)
        self.live()

    async def serves_one_of(self, allowed: set[Digest | None]) -> None:
        """After a death it serves what it may, if it served anything before; it may die once more first."""
        while self.served is not None:
            boots = {each.boot_id for each in self.fleet.heard if isinstance(each, RobotCheckedIn)}
            serving = asyncio.ensure_future(
                self.fleet.hears(
                    RobotCheckedIn,
                    lambda fact: fact.boot_id not in boots and fact.frames_served > 0,  # noqa: B023 (heard in this turn)
                )
            )
            if not await self._died_before(serving):
                assert (await serving).active_digest in allowed
                return
            serving.cancel()
            self.rise()

    async def _died_before(self, event: asyncio.Future[Any]) -> bool:
        """Wait for ``event`` or the robot's death; whether it died first."""
        dead = asyncio.ensure_future(self.child.wait())
        await asyncio.wait({event, dead}, return_when=asyncio.FIRST_COMPLETED)
        died = not event.done()
        if not died:
            dead.cancel()
            await event
        return died

    async def _ends(self, turn: Turn, generation: int) -> None:
        if turn.interlocks:
            await self.fleet.hears(
                RobotCheckedIn, lambda fact: fact.generation == generation and bool(fact.held_back)
            )
            return
        await self.fleet.hears(turn.ends, lambda fact: fact.generation == generation)  # type: ignore[attr-defined]  # each of them has one


@pytest.fixture
async def robot(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Robot]:
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (16, 16), "gray").save(tmp_path / "frames" / "grey.png")
    format_image(tmp_path / "robot.img")
    with mounted(tmp_path / "robot.img", tmp_path / "robot") as disk:
        async with running_fleet(nats_system, tmp_path) as fleet:
            robot = Robot(fleet, disk)
            robot.live()
            try:
                yield robot
            finally:
                robot.child.send(signal.SIGKILL)
                await robot.child.wait()


def published(fleet: Fleet, name: str, gain: float) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, name, gain=gain)
    fleet.publish_model(made)
    return made


def remembered(state: Path) -> Memory:
    """What a robot knows that starts with this directory."""
    journal = Journal(state / "journal.db")
    try:
        return journal.memory()
    finally:
        journal.close()


def stored(state: Path) -> dict[Digest, Digest]:
    """What each model is called that counts as whole, and what its bytes are."""
    files = Files(Disk())
    return {
        Digest(f"sha256:{path.stem}"): files.digest(path)
        for path in state.glob("models/*.model")
        if path.with_suffix(".manifest").exists()
    }


def assert_whole(state: Path) -> Memory:
    """No file is torn, and the robot's own model is there."""
    memory, models = remembered(state), stored(state)
    assert [name for name, content in models.items() if name != content] == [], "torn models"
    assert memory.active is None or memory.active.digest in models
    return memory


async def assert_serves(fleet: Fleet, state: Path, digest: Digest) -> None:
    """A bridge that starts here, without a network, answers frames with its own model."""
    answered: asyncio.Future[Digest] = asyncio.get_running_loop().create_future()

    def hear(done: InferenceDone) -> None:
        if not answered.done():
            answered.set_result(done.digest)

    settings = fleet.settings(state_dir=state, nats_url=NOWHERE)
    async with Bridge(settings, source=Camera(), on_result=hear):
        assert await asyncio.wait_for(answered, WAIT_S) == digest


async def every_turn(robot: Robot) -> None:
    """Targets that lead through all steps there are."""
    fleet = robot.fleet
    first, second, third = (
        published(fleet, name, gain) for name, gain in (("v1", 1.0), ("v2", 0.5), ("v3", 0.25))
    )
    turns = [
        Turn(model=first, ends=ModelActivated),
        Turn(model=second, ends=RobotCheckedIn, interlocks=("docked",)),
        Turn(model=second, ends=ModelActivated),
        Turn(model=first, ends=ModelActivated),
        Turn(model=third, ends=ModelStaged, mode=TargetMode.STAGE),
        Turn(model=second, ends=ModelStaged, mode=TargetMode.STAGE),
        Turn(model=third, ends=ModelShadowed, mode=TargetMode.SHADOW),
        Turn(model=second, ends=ModelActivated),
        Turn(model=first, ends=ModelShadowed, mode=TargetMode.SHADOW),
    ]
    for number, turn in enumerate(turns):
        await robot.take(turn, number + 1)
    await withdraw(fleet, 1, third)
    await robot.take(Turn(model=third, ends=ActivationFailed), len(turns) + 1)


async def at_rest(robot: Robot) -> None:
    """The one step that nobody announces: nothing is to be done."""
    robot.disk.cut(robot.left / "9999-rest.img")
    robot.child.send(signal.SIGKILL)
    await robot.child.wait()
    robot.rise()
    await robot.serves_one_of({robot.served})


def may_remember(images: Sequence[Path]) -> Iterator[tuple[Path, list[Memory]]]:
    """For each image what may be on it: what was durable, or what was being written just then."""
    allowed = [Memory()]
    for image in images:
        written = image.with_suffix(MEMORY)
        if written.exists():
            memory = decode(written.read_bytes(), Memory)
            allowed = [memory] if image.stem.endswith(AFTER) else allowed
        yield image, allowed
        if image.stem.endswith(BEFORE):
            allowed = [*allowed, memory]


async def assert_survives_power_cuts(robot: Robot, scratch: Path) -> None:
    """What was durable is there, no file is torn, and what is left serves."""
    seen: set[object] = set()
    for image, allowed in may_remember(sorted(robot.left.glob("*.img"))):
        with mounted(image, scratch) as left:
            memory = assert_whole(left.place)
            assert memory in allowed, image.name
            own, kind = memory.active, (memory.active, frozenset(stored(left.place)))
            if own is not None and kind not in seen:
                seen.add(kind)
                await assert_serves(robot.fleet, left.place, own.digest)


async def test_old_or_new_model_serves_after_kill_9_and_power_cut_at_every_step_of_converge(
    robot: Robot, tmp_path: Path
) -> None:
    await every_turn(robot)
    await at_rest(robot)
    assert not robot.steps_left, "these steps have no case here: add a turn that leads to them"
    told = [fact.generation for fact in robot.fleet.heard if isinstance(fact, ModelActivated)]
    assert told == sorted(set(told)), "nothing is reported twice"
    await assert_survives_power_cuts(robot, tmp_path / "scratch")
