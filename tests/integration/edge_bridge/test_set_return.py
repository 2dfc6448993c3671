"""Models that switched together are left together: from warm workers, from the store, and at a start."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.bridge import Bridge
from edge_bridge.converging.converge import Memory, return_to
from edge_bridge.journal import Journal
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import ModelName
from fleetward.contracts.robots import ModelActivated, ModelFellBack, RobotCheckedIn
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_bridge.test_model_set import aim_both, served_by_both
from tests.integration.edge_bridge.test_pipelines import (
    DETECTOR,
    SEGMENTER,
    activated,
    model,
    standing,
    with_a_segmenter,
)

Pair = tuple[StagedModel, StagedModel]
PIPELINES: tuple[ModelName | None, ...] = (None, SEGMENTER)


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


async def switched(fleet: Fleet) -> tuple[Pair, Pair]:
    """The two that were served before and those that are now, with their window open."""
    old = await served_by_both(fleet)
    new = (model(fleet, DETECTOR, "v2", 0.8), model(fleet, SEGMENTER, "v2", 0.7))
    await aim_both(fleet, *new, 2, health_window_s=60.0)
    for each in new:
        await activated(fleet, each)
    return old, new


async def serves(fleet: Fleet, pair: Pair, since: int = 0) -> None:
    """A check-in of a bridge that says it serves these two."""
    boots = {each.boot_id for each in fleet.heard[:since] if isinstance(each, RobotCheckedIn)}
    await fleet.hears(
        RobotCheckedIn,
        lambda fact: (
            fact.boot_id not in boots
            and (fact.active_digest, standing(fact).active_digest)
            == (pair[0].digest, pair[1].digest)
        ),
    )


async def fell_back_from(fleet: Fleet, left: StagedModel) -> None:
    await fleet.hears(ModelFellBack, lambda fact: fact.from_digest == left.digest)


def rewritten(fleet: Fleet, change: Callable[[dict[ModelName | None, Memory]], None]) -> None:
    """What an older bridge left in the journal when it lost its power."""
    journal = Journal(fleet.settings().state_dir / "journal.db")
    memories = {name: journal.memory(name) for name in PIPELINES}
    change(memories)
    journal.write(memories)
    journal.close()


def uncommitted(memory: Memory, before: Memory) -> Memory:
    """As it was when all were proved, and this one's commit was still to be written."""
    return replace(
        before, target=memory.target, bytes_fetched=memory.bytes_fetched, key_id=memory.key_id
    )


def own_of(fleet: Fleet) -> list[str]:
    journal = Journal(fleet.settings().state_dir / "journal.db")
    own = [journal.memory(name).active for name in PIPELINES]
    journal.close()
    return [each.digest if each else "" for each in own]


async def test_one_whose_earlier_model_is_warm_no_more_returns_from_the_store(fleet: Fleet) -> None:
    async with Bridge(with_a_segmenter(fleet), source=Camera()) as bridge:
        old, new = await switched(fleet)
        segmenter = bridge.pipeline(SEGMENTER)
        asked = len(fleet.objects.ranges)
        os.kill(segmenter.worker_pids["warm"], signal.SIGKILL)
        await fleet.hears(
            RobotCheckedIn,
            lambda fact: (
                standing(fact).active_digest == new[1].digest and standing(fact).warm_digest is None
            ),
        )
        os.kill(bridge.worker_pids["active"], signal.SIGKILL)
        for each in new:
            await fell_back_from(fleet, each)
        await serves(fleet, old)
        assert segmenter.worker_pids.keys() == {"active"}, "what was left is not kept warm"
        assert segmenter.ledger.frames_failed == 0
        assert len(fleet.objects.ranges) == asked


async def test_one_that_cannot_be_started_any_more_takes_the_other_back(fleet: Fleet) -> None:
    async with Bridge(with_a_segmenter(fleet), source=Camera()) as bridge:
        old, new = await switched(fleet)
        assert bridge.active
        bridge.active.path.write_bytes(b"rotten")
    heard = len(fleet.heard)
    async with Bridge(with_a_segmenter(fleet), source=Camera()):
        for each in new:
            await fell_back_from(fleet, each)
        await serves(fleet, old, heard)
    assert own_of(fleet) == [each.digest for each in old]


@pytest.mark.parametrize("committed", PIPELINES)
async def test_a_set_that_an_older_bridge_committed_by_half_is_committed_at_the_next_start(
    fleet: Fleet, committed: ModelName | None
) -> None:
    before: dict[ModelName | None, Memory] = {}

    def half(memories: dict[ModelName | None, Memory]) -> None:
        for name in set(PIPELINES) - {committed}:
            memories[name] = uncommitted(memories[name], before[name])

    async with Bridge(with_a_segmenter(fleet), source=Camera()):
        await served_by_both(fleet)
    rewritten(fleet, before.update)
    async with Bridge(with_a_segmenter(fleet), source=Camera()):
        new = (model(fleet, DETECTOR, "v2", 0.8), model(fleet, SEGMENTER, "v2", 0.7))
        await aim_both(fleet, *new, 2)
        for each in new:
            await activated(fleet, each)
    rewritten(fleet, half)
    assert own_of(fleet) != [each.digest for each in new]
    told = fleet.count(ModelActivated)
    fleet.heard.clear()
    async with Bridge(with_a_segmenter(fleet), source=Camera()):
        await serves(fleet, new)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)
    assert told == 4
    assert fleet.count(ModelActivated) == 1, "of the one that had not told"
    assert own_of(fleet) == [each.digest for each in new]


@pytest.mark.parametrize("left", PIPELINES)
async def test_a_set_that_an_older_bridge_left_by_half_is_left_at_the_next_start(
    fleet: Fleet, left: ModelName | None
) -> None:
    async with Bridge(with_a_segmenter(fleet), source=Camera()):
        old, _ = await switched(fleet)

    def half(memories: dict[ModelName | None, Memory]) -> None:
        previous = memories[left].previous
        assert previous is not None
        memories[left] = return_to(memories[left], previous)

    rewritten(fleet, half)
    fleet.heard.clear()
    async with Bridge(with_a_segmenter(fleet), source=Camera()):
        await serves(fleet, old)
        await fleet.hears(ModelFellBack)
    assert fleet.count(ModelFellBack) == 1
    assert own_of(fleet) == [each.digest for each in old]
