"""A robot whose own model is lost serves what else it has, and fetches its own again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import ModelActivated, ModelFellBack
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

PROVES_FOR_EVER = 1_000_000
"""More inferences than a test waits for."""


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


async def serves(bridge: Bridge, model: StagedModel) -> None:
    async with asyncio.timeout(WAIT_S):
        while not bridge.active or bridge.active.digest != model.digest:  # noqa: ASYNC110 (no fact says so)
            await asyncio.sleep(0.05)


def two_models(fleet: Fleet) -> tuple[StagedModel, StagedModel]:
    first = tiny_models.brightness(fleet.directory, "v1", gain=1.0)
    second = tiny_models.brightness(fleet.directory, "v2", gain=0.5)
    for model in (first, second):
        fleet.publish_model(model)
    return first, second


class Refusals:
    """A journal that takes facts and no memory, as a disk does that has room for the one and not the other."""

    def __init__(self, bridge: Bridge) -> None:
        self._journal, self._loop = bridge._hub.journal, asyncio.get_running_loop()
        self._asked = asyncio.Event()
        database = self._journal._database
        database.create_function("refused", 0, self._refuse)
        database.execute(
            "CREATE TEMP TRIGGER refusing BEFORE INSERT ON memory "
            "BEGIN SELECT refused(); SELECT RAISE(FAIL, 'database or disk is full'); END"
        )

    async def seen(self) -> None:
        await asyncio.wait_for(self._asked.wait(), WAIT_S)

    def end(self) -> None:
        with self._journal._lock:
            self._journal._database.execute("DROP TRIGGER refusing")

    def _refuse(self) -> None:
        self._loop.call_soon_threadsafe(self._asked.set)


async def test_a_model_that_was_lost_is_fetched_again_without_another_start_once_the_disk_has_room(
    fleet: Fleet,
) -> None:
    good = tiny_models.brightness(fleet.directory, "good", gain=1.0)
    fleet.publish_model(good)
    settings = fleet.settings()
    async with Bridge(settings, source=Camera()) as bridge:
        await fleet.aim(good, 1)
        await fleet.hears(ModelActivated)
        held = bridge._serving.store.path(good.digest)
    held.unlink()

    async with Bridge(settings, source=Camera()) as bridge:
        refusals = Refusals(bridge)
        await refusals.seen()
        assert not bridge.worker_pids
        refusals.end()
        await fleet.hears(ModelActivated, lambda _: fleet.count(ModelActivated) == 2)
        assert bridge.active
        assert bridge.active.digest == good.digest


async def test_a_target_that_is_in_the_store_serves_although_no_word_is_kept_of_the_lost_model(
    fleet: Fleet,
) -> None:
    lost, wanted = two_models(fleet)
    settings = fleet.settings()
    async with Bridge(settings, source=Camera()) as bridge:
        await fleet.aim(lost, 1)
        await fleet.hears(ModelActivated)
        await fleet.aim(wanted, 2, proof_inferences=PROVES_FOR_EVER)
        await serves(bridge, wanted)
        held = bridge._serving.store.path(lost.digest)
    held.unlink()

    async with Bridge(settings, source=Camera()) as bridge:
        refusals = Refusals(bridge)
        await refusals.seen()
        await serves(bridge, wanted)
        refusals.end()


def rotten(path: Path) -> None:
    path.write_bytes(b"rotten")


def unreadable(path: Path) -> None:
    """The system refuses to read it."""
    path.unlink()
    path.mkdir()


def rotten_and_not_removable(path: Path) -> None:
    """The system refuses to remove what belongs to it."""
    rotten(path)
    path.with_suffix(".manifest").unlink()
    path.with_suffix(".manifest").mkdir()


@pytest.mark.parametrize("damage", [rotten, unreadable, rotten_and_not_removable])
async def test_a_robot_whose_own_model_rotted_starts_the_one_before_and_says_so(
    fleet: Fleet, damage: Callable[[Path], None]
) -> None:
    first, second = two_models(fleet)
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        for generation, model in enumerate((first, second), 1):
            await fleet.aim(model, generation)
            await fleet.hears(ModelActivated, lambda fact: fact.digest == model.digest)  # noqa: B023 (heard before the next)
        assert bridge.active
        damage(bridge.active.path)
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        fell = await fleet.hears(ModelFellBack)
        assert (fell.from_digest, fell.to_digest) == (second.digest, first.digest)
        assert bridge.active
        assert bridge.active.digest == first.digest
