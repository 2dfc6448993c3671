"""A robot that starts while its disk is full to the last byte serves the model that it has."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.reserve import RESERVE_BYTES
from fleetward.contracts.robots import ModelActivated
from testkit.servers import NatsSystem
from tests.faults.small_disks import BLOCK_BYTES, fill_up, small_disk
from tests.faults.test_unproved_on_a_full_disk import DISK_BYTES, Answers
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

pytestmark = pytest.mark.slow


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    with small_disk(tmp_path / "robot", DISK_BYTES):
        async with running_fleet(nats_system, tmp_path) as running:
            yield running


async def test_a_bridge_starts_on_a_disk_that_was_filled_while_it_was_stopped(fleet: Fleet) -> None:
    state = fleet.directory / "robot"
    settings = fleet.settings(state_dir=state)
    good = tiny_models.brightness(fleet.directory, "good", gain=1.0)
    fleet.publish_model(good)
    async with Bridge(settings, source=Camera()):
        await fleet.aim(good, 1)
        await fleet.hears(ModelActivated)
    fill_up(state / "filler")
    assert shutil.disk_usage(state).free < BLOCK_BYTES
    answers = Answers()
    async with Bridge(settings, source=Camera(), on_result=answers):
        await answers.by(good.digest)
        assert 0 < (state / "reserve").stat().st_blocks * 512 < RESERVE_BYTES
    (state / "filler").unlink()
    async with Bridge(settings, source=Camera(), on_result=answers):
        assert (state / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES


@pytest.mark.parametrize("stays_full", [False, True])
async def test_a_disk_that_is_full_at_every_start_lets_it_start_each_time(
    fleet: Fleet, stays_full: bool
) -> None:
    """As where another program's logs fill it, and are thrown away now and then, or are not."""
    state = fleet.directory / "robot"
    settings = fleet.settings(state_dir=state)
    good = tiny_models.brightness(fleet.directory, "good", gain=1.0)
    fleet.publish_model(good)
    async with Bridge(settings, source=Camera()):
        await fleet.aim(good, 1)
        await fleet.hears(ModelActivated)
    for number in range(6):
        fill_up(filler := state / f"filler-{number}")
        answers = Answers()
        async with Bridge(settings, source=Camera(), on_result=answers) as bridge:
            await answers.by(good.digest)
            assert bridge.active
            assert bridge.active.digest == good.digest
            if stays_full:
                fill_up(state / f"filler-{number}-later")
            else:
                filler.unlink()
