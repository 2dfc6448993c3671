"""What is proved for the launcher is so for the journal too, whatever target comes in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from edge_bridge.converging.converge import Cost, Memory, Placed, Slotted
from edge_bridge.converging.outcome import Proof
from edge_bridge.converging.targets import Offered
from edge_bridge.disk_thread import DiskThread
from edge_bridge.disturbance.brake import Brake
from edge_bridge.disturbance.work import Work
from edge_bridge.journal import Journal
from edge_bridge.link import Link
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.updating.launched import Launched, digest_of
from edge_bridge.updating.stepping import ReleaseSteps
from edge_bridge.updating.updater import Updater
from edge_bridge.uplink import UplinkLimits
from fleetward.bus.waiting import cancelled
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import ModelActivated, RobotTarget
from fleetward.releases.launch import Choice, Place

ROBOT = RobotId("r1")
OLD, RUNNING, NEWER = "a" * 64, "b" * 64, "c" * 64
WAIT_S = 10.0


def digest(name: str) -> Digest:
    return Digest(f"sha256:{name}")


def target(name: str, generation: int) -> RobotTarget:
    return RobotTarget(
        robot_id=ROBOT,
        generation=generation,
        model=ModelRef(BRIDGE_MODEL, Version(f"v{generation}")),
        digest=digest(name),
        rollout_id=RolloutId("ro1"),
        issued_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )


class SlowPlace(Place):
    """A disk that asks to be waited for: each write ends once it ``goes_on``."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.asked, self.goes_on = threading.Event(), threading.Event()

    def write(self, choice: Choice) -> None:
        self.asked.set()
        assert self.goes_on.wait(WAIT_S)
        super().write(choice)

    def is_whole(self, name: str) -> bool:
        return name in {OLD, RUNNING}


class Steps(ReleaseSteps):
    """Everything but what the launcher is told and what comes of it, which is real."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self.fetching = asyncio.Event()
        self.stored: ModelRef | None = None
        """What the archive of the release that runs says it is."""

    def slotted(self, target: RobotTarget | None) -> Slotted:
        choice = self.launched.choice()
        warm = choice.own if self.launched.on_trial else choice.before
        return Slotted(active=self.launched.digest, warm=digest_of(warm))

    def proof(self) -> Proof:
        return Proof(inferences=3, swap_ms=0.0, warm_up=None)

    def model_of(self, digest: Digest) -> ModelRef | None:
        return self.stored

    def release_of(self, target: RobotTarget) -> int:
        return target.generation

    async def prove(self, target: RobotTarget) -> Proof:
        return self.proof()

    async def collect(self, target: RobotTarget | None) -> None:
        """Nothing is installed."""

    async def fetch(self, target: RobotTarget, memory: Memory) -> Cost:
        self.fetching.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody ends that")


class Bridge:
    """An updater whose open target is ``RUNNING``, the release that it is; ``OLD`` is what the journal knows."""

    def __init__(
        self, directory: Path, choice: Choice, accepted: RobotTarget | None = None
    ) -> None:
        Place(directory).write(choice)
        self.place = SlowPlace(directory)
        self.said: list[Event] = []
        journal = Journal(directory / "journal.db")
        reporter = Reporter(
            journal, cast(Link, None), UplinkLimits(), DiskThread(), self.said.append
        )
        self.steps = Steps(Launched(self.place, ["launch.py"], RUNNING))
        settings = Settings(
            robot_id=ROBOT,
            nats_url="",
            credentials=directory,
            state_dir=directory,
            trust_dir=directory,
        )
        old = Placed(ModelRef(BRIDGE_MODEL, Version("v0")), digest(OLD))
        memory = Memory(target=accepted or target(RUNNING, 1), active=old)
        brake = Brake(settings.disturbance, Work(settings.disturbance))
        self.updater = Updater(settings, memory, self.steps, brake, reporter, lambda: None)

    def offer(self) -> None:
        self.updater.offer(Offered(target(NEWER, 2), "", "key"))

    @property
    def own(self) -> Digest | None:
        return self.updater.memory.active.digest if self.updater.memory.active else None


@asynccontextmanager
async def running(bridge: Bridge) -> AsyncIterator[None]:
    task = asyncio.ensure_future(bridge.updater.run())
    try:
        yield
    finally:
        await cancelled({task})


ON_TRIAL = Choice(own=OLD, trial=RUNNING, starts=1)
PROVED = Choice(own=RUNNING, before=OLD)


async def goes_on_to_the_newer(bridge: Bridge) -> None:
    await asyncio.wait_for(bridge.steps.fetching.wait(), WAIT_S)
    assert (bridge.own, bridge.updater.memory.generation) == (digest(RUNNING), 2)
    assert [type(fact) for fact in bridge.said] == [ModelActivated]
    assert not bridge.steps.launched.leaving.is_set()


async def test_a_target_that_comes_while_a_proof_is_written_waits_for_the_journal(
    tmp_path: Path,
) -> None:
    bridge = Bridge(tmp_path, ON_TRIAL)
    async with running(bridge):
        assert await asyncio.to_thread(bridge.place.asked.wait, WAIT_S)
        bridge.offer()
        bridge.place.goes_on.set()
        await goes_on_to_the_newer(bridge)


async def test_what_was_proved_as_the_bridge_ended_is_written_before_a_newer_target_is_taken(
    tmp_path: Path,
) -> None:
    bridge = Bridge(tmp_path, PROVED)
    bridge.place.goes_on.set()
    bridge.offer()
    async with running(bridge):
        await goes_on_to_the_newer(bridge)


async def test_what_was_not_proved_makes_way_when_a_newer_target_comes(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, ON_TRIAL)
    bridge.place.goes_on.set()
    bridge.offer()
    async with running(bridge):
        await asyncio.wait_for(bridge.steps.launched.leaving.wait(), WAIT_S)
        assert (bridge.own, bridge.said) == (digest(OLD), [])


@pytest.mark.parametrize("named_by", ["its archive", "the target's way back", "nothing"])
async def test_a_journal_that_took_the_newer_target_first_ends_in_no_restart_without_end(
    tmp_path: Path, named_by: str
) -> None:
    """As a bridge left it that took a target between the launcher's word and the journal's."""
    newer, named = target(NEWER, 2), ModelRef(BRIDGE_MODEL, Version("v1"))
    if named_by == "the target's way back":
        newer = replace(newer, fallback=named, fallback_digest=digest(RUNNING))
    bridge = Bridge(tmp_path, PROVED, accepted=newer)
    bridge.steps.stored = named if named_by == "its archive" else None
    bridge.place.goes_on.set()
    async with running(bridge):
        await asyncio.wait_for(bridge.steps.fetching.wait(), WAIT_S)
    assert not bridge.steps.launched.leaving.is_set()
    memory = bridge.updater.memory
    known = named_by != "nothing"
    assert memory.active == (Placed(named, digest(RUNNING)) if known else None)
    assert (memory.previous is not None) is known
    assert (memory.generation, bridge.said) == (2, [])
