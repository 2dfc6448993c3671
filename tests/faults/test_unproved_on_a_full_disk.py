"""A model that fails its proof while the disk is full is left all the same, and reported once there is room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import ActivationFailed, ActivationStage, ModelActivated
from testkit.servers import NatsSystem
from tests.faults.small_disks import fill_up, small_disk
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

pytestmark = pytest.mark.slow

DISK_BYTES = 96 * 1024 * 1024
BRIGHT = 255


class Answers:
    """Waits for an answer by a model from now on."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._done: InferenceDone | None = None

    def __call__(self, done: InferenceDone) -> None:
        self._done = done
        self._news.set()

    async def by(self, digest: Digest) -> None:
        async def heard() -> None:
            while self._done is None or self._done.digest != digest:
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(heard(), WAIT_S)


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    with small_disk(tmp_path / "robot", DISK_BYTES):
        async with running_fleet(nats_system, tmp_path) as running:
            yield running


def published(fleet: Fleet) -> tuple[StagedModel, StagedModel]:
    """One that does well, and one that fails on bright frames."""
    good = tiny_models.brightness(fleet.directory, "good", gain=1.0)
    bad = tiny_models.failing(fleet.directory, "bad", on_black=False)
    for each in (good, bad):
        fleet.publish_model(each)
    return good, bad


async def proving(fleet: Fleet, good: StagedModel, bad: StagedModel, answers: Answers) -> None:
    """The good one is the robot's own, and the bad one serves until it has proved itself."""
    await fleet.aim(good, 1)
    await fleet.hears(ModelActivated)
    await fleet.aim(bad, 2, proof_inferences=100_000)
    await answers.by(bad.digest)


async def test_a_model_that_fails_its_proof_is_left_although_nothing_can_be_written(
    fleet: Fleet,
) -> None:
    answers, camera, filler = Answers(), Camera(), fleet.directory / "robot" / "filler"
    good, bad = published(fleet)
    settings = fleet.settings(state_dir=filler.parent)
    async with Bridge(settings, source=camera, on_result=answers) as bridge:
        await proving(fleet, good, bad, answers)
        fill_up(filler)
        camera.brightness = BRIGHT
        await answers.by(good.digest)
        assert bridge.active
        assert bridge.active.digest == good.digest
        assert fleet.count(ActivationFailed) == 0
        filler.unlink()
        failed = await fleet.hears(ActivationFailed)
        assert (failed.generation, failed.stage) == (2, ActivationStage.PROOF)
        assert bridge.active.digest == good.digest


async def test_a_model_whose_proof_is_broken_off_for_a_target_that_cannot_be_written_is_left(
    fleet: Fleet,
) -> None:
    answers, filler = Answers(), fleet.directory / "robot" / "filler"
    good, bad = published(fleet)
    newer = tiny_models.brightness(fleet.directory, "newer", gain=0.5)
    fleet.publish_model(newer)
    settings = fleet.settings(state_dir=filler.parent)
    async with Bridge(settings, source=Camera(), on_result=answers) as bridge:
        await proving(fleet, good, bad, answers)
        fill_up(filler)
        await fleet.aim(newer, 3)
        await answers.by(good.digest)
        assert fleet.count(ModelActivated) == 1
        filler.unlink()
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 3)
        assert bridge.active
        assert bridge.active.digest == newer.digest
