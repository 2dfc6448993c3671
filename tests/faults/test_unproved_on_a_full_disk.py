"""A model that fails its proof while the disk is full is left all the same, and reported once there is room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import ActivationFailed, ActivationStage, ModelActivated
from testkit.servers import NatsSystem
from tests.faults.small_disks import fill_up, small_disk
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, running_fleet
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


async def test_a_model_that_fails_its_proof_is_left_although_nothing_can_be_written(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    disk, answers, camera = tmp_path / "robot", Answers(), Camera()
    filler = disk / "filler"
    with small_disk(disk, DISK_BYTES):
        async with running_fleet(nats_system, tmp_path) as fleet:
            good = tiny_models.brightness(tmp_path, "good", gain=1.0)
            bad = tiny_models.failing(tmp_path, "bad", on_black=False)
            for model in (good, bad):
                fleet.publish_model(model)
            async with Bridge(
                fleet.settings(state_dir=disk), source=camera, on_result=answers
            ) as bridge:
                await fleet.aim(good, 1)
                await fleet.hears(ModelActivated)
                await fleet.aim(bad, 2, proof_inferences=100_000)
                await answers.by(bad.digest)
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
