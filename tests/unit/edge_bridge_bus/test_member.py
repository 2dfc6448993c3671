"""What a pipeline's slots do while its memory is being written is not lost, nor is it taken for something else."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.health_window import HealthWindow
from edge_bridge.converging.member import PipelineMember
from edge_bridge.converging.outcome import Proof
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.together import Standing, Together
from edge_bridge.disk_thread import DiskThread
from edge_bridge.journal import JournalError
from edge_bridge.link import Link
from edge_bridge.reporting import Reporter
from edge_bridge.uplink import UplinkLimits
from edge_bridge.workers.slots import FellBack
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName
from fleetward.contracts.robots import ModelFellBack, RobotTarget
from tests.unit.edge_bridge_bus.model_set import NAMES, OLD, Watched, of

PAIR = NAMES[:2]
PROOF = Proof(inferences=20, swap_ms=1.0, warm_up=None)


def entry(name: ModelName) -> RobotTarget:
    return replace(of(name), together=PAIR)


class FakeSlots:
    """Green serves and blue is warm."""

    def __init__(self, name: ModelName) -> None:
        green = entry(name)
        self.active: StagedModel | None = StagedModel(
            model=green.model, digest=green.digest, path=Path("green")
        )
        self.warm: StagedModel | None = StagedModel(
            model=OLD.model, digest=OLD.digest, path=Path("blue")
        )
        self.staged: StagedModel | None = None

    def return_to_warm(self, reason: str) -> FellBack:
        bad, good = self.active, self.warm
        assert bad is not None
        assert good is not None
        self.active, self.warm = good, None
        return FellBack(
            from_digest=bad.digest, to_digest=good.digest, reason=reason, frames_reissued=0
        )


class FakeSteps:
    """Slots, a watch that is woken for nothing, and reports that say nothing."""

    def __init__(self, name: ModelName) -> None:
        self.slots = FakeSlots(name)
        self.watch = self

    def wake(self) -> None:
        """Nobody waits."""

    def release_of(self, target: RobotTarget) -> int:
        return 3

    async def proved(
        self, target: RobotTarget, proof: Proof, memory: Memory, now: datetime
    ) -> list[Event]:
        return []


class FakeWindow(Struct):
    """Whether it is open."""

    is_open: bool = False

    def start(self, target: RobotTarget) -> None:
        self.is_open = True

    def stop(self) -> None:
        self.is_open = False


class Robot:
    """Two pipelines whose models serve and were proved; nothing of that is written yet."""

    def __init__(self, directory: Path) -> None:
        self.journal = Watched(directory / "journal.db")
        self.said: list[Event] = []
        self.reporter = Reporter(
            self.journal, cast(Link, None), UplinkLimits(), DiskThread(), self.said.append
        )
        self.together = Together()
        self.steps = [FakeSteps(name) for name in PAIR]
        self.windows = [FakeWindow() for _ in PAIR]
        self.members = [self._member(at) for at in range(len(PAIR))]

    def _member(self, at: int) -> PipelineMember:
        target = entry(PAIR[at])
        memory = Memory(target=target, active=OLD)
        remembered = Remembered(memory, self.reporter, lambda: None, PAIR[at])
        member = PipelineMember(
            cast(Steps, self.steps[at]),
            remembered,
            cast(HealthWindow, self.windows[at]),
            on_interrupted=lambda: None,
            on_returned=lambda: None,
        )
        member.proved(target, PROOF)
        self.together.add(member)
        return member

    async def commit(self) -> bool:
        return await self.together.commit(self.members[0], entry(PAIR[0]))

    def loses_its_worker(self, at: int) -> None:
        """As the converger hears of it."""
        self.members[at].fell(self.steps[at].slots.return_to_warm("its worker died"))
        self.together.leave_with(self.members[at])

    @property
    def own(self) -> list[object]:
        return [self.journal.memory(name).active for name in PAIR]


@pytest.fixture
def robot(tmp_path: Path) -> Robot:
    return Robot(tmp_path)


async def test_what_was_proved_is_committed_and_watched(robot: Robot) -> None:
    assert await robot.commit()
    assert [each.is_open for each in robot.windows] == [True, True]
    assert [each.standing for each in robot.members] == [Standing.PROVED] * 2


@pytest.mark.parametrize("at", range(len(PAIR)))
async def test_a_worker_that_dies_while_its_commit_is_written_takes_all_back(
    robot: Robot, at: int
) -> None:
    loop, died = asyncio.get_running_loop(), asyncio.Event()

    def dies() -> None:
        robot.loses_its_worker(at)
        died.set()

    robot.journal.on_write = lambda: loop.call_soon_threadsafe(dies)
    committing = asyncio.ensure_future(robot.commit())
    await died.wait()
    robot.journal.on_write = lambda: None
    await robot.together.write_fall(robot.members[at])
    await committing
    assert robot.own == [OLD, OLD]
    assert [each.slots.active and each.slots.active.digest for each in robot.steps] == [
        OLD.digest,
        OLD.digest,
    ]
    assert [each.standing for each in robot.members] == [Standing.LEFT] * 2
    assert [type(fact) for fact in robot.said] == [ModelFellBack] * 2


async def test_what_serves_is_the_robots_own_and_not_what_serves_when_the_disk_has_room_again(
    robot: Robot,
) -> None:
    await robot.commit()
    robot.loses_its_worker(0)
    slots = robot.steps[0].slots
    slots.active = StagedModel(
        model=entry(PAIR[0]).model, digest=entry(PAIR[1]).digest, path=Path("newer")
    )
    await robot.together.write_fall(robot.members[0])
    assert robot.own == [OLD, OLD]


async def test_a_proof_that_is_doubted_holds_no_more(robot: Robot) -> None:
    robot.members[1].doubted()
    assert not await robot.commit()
    assert robot.own == [None, None]
    assert robot.members[1].standing is Standing.SERVES


async def test_a_fall_that_a_full_disk_refused_outlasts_what_another_pipeline_has_to_write(
    robot: Robot,
) -> None:
    """The other's was of a model on trial, which is nobody's own: nothing is written for it."""
    await robot.commit()
    trial = robot.members[1].remembered
    trial.memory = replace(trial.memory, active=OLD, activated=None)
    robot.loses_its_worker(0)
    robot.journal.is_full = True
    with pytest.raises(JournalError):
        await robot.together.write_fall(robot.members[0])
    robot.loses_its_worker(1)
    await robot.together.write_fall(robot.members[1])
    robot.journal.is_full = False
    await robot.together.write_fall(robot.members[0])
    assert robot.own[0] == OLD
