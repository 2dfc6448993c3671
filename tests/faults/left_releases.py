"""What a power cut left of a bridge that updates itself: nothing torn, what was decided is there, and it serves."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import tempfile
from collections.abc import Hashable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import TypeVar

from edge_bridge.converging.converge import Memory
from edge_bridge.journal import Journal
from edge_bridge.sources.frame_client import FrameClient
from edge_bridge.sources.frame_wire import WireError
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.codec import decode
from fleetward.contracts.ids import ModelName
from fleetward.releases.launch import Choice, Place
from testkit.disk_image import mounted
from tests.faults.mortal_release import AFTER, BEFORE, CHOICE, MEMORY
from tests.integration.edge_bridge.fleet import Fleet
from tests.integration.edge_bridge.launched_robot import Robot
from tests.integration.edge_slots import tiny_models

_T = TypeVar("_T")
NOWHERE = "nats://127.0.0.1:1"
TRIAL_S = 3600.0
COMES_UP_S = 60.0
OURS = ("edge_bridge", "fleetward")
"""Wheels whose files all lie in the release; of others it may hold a path."""
ANSWER_S = 1.0
LOOK_S = 0.1


class Restarted(Robot):
    """A robot that found this state when its power came back, and no hub; frames come by its socket."""

    def __init__(self, fleet: Fleet, enrolled: Path, launcher: Path, state: Path) -> None:
        self._programs = launcher.parent
        self._sockets = tempfile.TemporaryDirectory(prefix="fleetward-")
        self.said = "nothing listens"
        """Why no frame was answered."""
        self.socket = Path(self._sockets.name) / "frames"
        super().__init__(fleet, enrolled, launcher, TRIAL_S, state)

    def environment(self) -> dict[str, str]:
        told = super().environment()
        del told["FLEETWARD_FRAMES_DIR"]
        return {
            **told,
            "PYTHONPATH": str(self._programs),  # what armed its releases, and lets them be here
            "FLEETWARD_NATS_URL": NOWHERE,
            "FLEETWARD_FRAME_SOCKET": str(self.socket),
        }

    async def serves(self) -> None:
        """Its model answers a frame, within ``COMES_UP_S``."""
        async with asyncio.timeout(COMES_UP_S):
            while True:
                if await asyncio.to_thread(self._answers):
                    return
                await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        await super().stop()
        self._sockets.cleanup()

    def _answers(self) -> bool:
        side = tiny_models.SIDE_PX
        black = memoryview(bytes(side * side * 3)).cast("B", (side, side, 3))
        try:
            with FrameClient(self.socket, timeout_s=ANSWER_S) as bridge:
                bridge.send(black)
                self.said = bridge.answer().error or ""
                return not self.said
        except (OSError, EOFError, WireError) as problem:
            self.said = repr(problem)
            return False


class Judge:
    """Looks at images as they come, and keeps none."""

    def __init__(self, robot: Robot, enrolled: Path, launcher: Path, scratch: Path) -> None:
        self._robot = robot
        self._enrolled = enrolled
        self._launcher = launcher
        self._scratch = scratch
        self._choices: list[Choice] = [Choice()]
        self._memories: list[Memory] = [Memory()]
        self._seen: set[Hashable] = set()
        self.looked_at: set[str] = set()
        """When the power was cut."""
        self.changed: set[str] = set()
        """Fields of the choice that were changed under a power cut."""
        self.restarts = 0

    async def judge(self, left: Path) -> None:
        """Every image there; raises AssertionError."""
        for image in sorted(left.glob("*.img")):
            self._expect(image)
            with mounted(image, self._scratch) as disk:
                await self._look(image.stem, disk.place)
            image.unlink()
            self.looked_at.add(image.stem.partition("-")[2])

    async def _look(self, when: str, state: Path) -> None:
        choice, memory = choice_in(state), remembered(state)
        assert choice in self._choices, when
        assert memory in self._memories, when
        whole = {
            path.name: torn(path) for path in Place(state).releases.glob("*") if is_whole(path)
        }
        assert not any(whole.values()), (when, whole)
        starts = choice.starts if choice.trial else 0
        kind = (
            choice._replace(boot="", began_s=0.0, asked_s=0.0, starts=starts),
            frozenset(whole),
            memory.active,
            memory.settled_generation < memory.generation,
        )
        if kind not in self._seen and remembered(state, None).active is not None:
            self._seen.add(kind)
            await self._comes_up(when, state)

    async def _comes_up(self, when: str, state: Path) -> None:
        robot = Restarted(self._robot.fleet, self._enrolled, self._launcher, state)
        try:
            await robot.serves()
            self.restarts += 1
        except TimeoutError:
            raise AssertionError(f"{when}: no model serves: {robot.said}") from None
        finally:
            await robot.stop()

    def _expect(self, image: Path) -> None:
        """What may be on this one: what was durable, or what was being written just then."""
        said = image.with_suffix(".said")
        if not said.exists():
            return
        moment, of = image.stem.split("-")[1:]
        content = said.read_bytes()
        if of == CHOICE:
            choice = Choice(**json.loads(content))
            self.changed |= {
                name
                for name in Choice._fields
                if getattr(choice, name) != getattr(self._choices[0], name)
            }
            self._choices = _may_be(self._choices, choice, moment)
        if of == MEMORY:
            self._memories = _may_be(self._memories, decode(content, Memory), moment)


def _may_be(allowed: list[_T], written: _T, moment: str) -> list[_T]:
    assert moment in {BEFORE, AFTER}
    return [written] if moment == AFTER else [*allowed, written]  # a death may come between the two


def choice_in(state: Path) -> Choice:
    """What was decided; raises ValueError where the file is torn, which the launcher would bear."""
    path = Place(state).directory / "choice.json"
    return Choice(**json.loads(path.read_bytes())) if path.exists() else Choice()


def remembered(state: Path, pipeline: ModelName | None = BRIDGE_MODEL) -> Memory:
    """What the journal there says of a pipeline."""
    if not (state / "journal.db").exists():
        return Memory()
    journal = Journal(state / "journal.db")
    try:
        return journal.memory(pipeline)
    finally:
        journal.close()


def is_whole(release: Path) -> bool:
    """Whether the launcher would start it."""
    return (release / "complete").exists()


def torn(release: Path) -> list[str]:
    """Files of an environment that are not what their wheels say."""
    packages = next((release / "lib").glob("python3.*/site-packages"))
    return [wrong for name in OURS for wrong in _unlike(packages, name)]


def _unlike(packages: Path, name: str) -> Iterator[str]:
    held = next(iter(distributions(path=[str(packages)], name=name)), None)
    files = [file for file in (held.files if held else None) or () if file.hash is not None]
    if not files:
        yield f"all of {name}"
    for file in files:
        path, told = packages / file, file.hash.value if file.hash else ""
        content = path.read_bytes() if path.is_file() else b""
        if base64.urlsafe_b64decode(f"{told}==") != hashlib.sha256(content).digest():
            yield str(file)
