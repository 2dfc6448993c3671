"""The flight recorder beside a model that serves: on a disk without room it yields, and frames do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from edge_bridge.bridge import Bridge
from edge_bridge.recorder.file import messages_in
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.settings import StoreLimits
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from testkit.servers import NatsSystem
from tests.faults.small_disks import fill_up, small_disk
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, running_fleet
from tests.integration.edge_slots import tiny_models

MIB = 1024 * 1024
RESERVE_BYTES = 4 * MIB
LIMITS = RecorderLimits(enabled=True, frame_every=1, segment_s=0.2, write_every_s=0.02)


async def until(holds: Callable[[], bool]) -> None:
    async def waiting() -> None:
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)

    await asyncio.wait_for(waiting(), WAIT_S)


def recorded(ring: Path) -> dict[str, int]:
    """How many messages of each topic lie in the ring."""
    counts: dict[str, int] = {}
    for path in sorted(ring.glob("*.mcap")):
        for message in messages_in(path):
            counts[message.topic] = counts.get(message.topic, 0) + 1
    return counts


async def test_full_disk_costs_recordings_and_no_frame(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    state_dir = tmp_path / "small"
    ring, filler = state_dir / "recorder" / "ring", state_dir / "filler"
    with small_disk(state_dir, 32 * MIB):
        async with running_fleet(nats_system, tmp_path) as fleet:
            model = tiny_models.brightness(fleet.directory, "v1")
            fleet.publish_model(model)
            store = StoreLimits(reserve_bytes=RESERVE_BYTES)
            settings = fleet.settings(state_dir=state_dir, recorder=LIMITS, store=store)
            async with Bridge(settings, source=Camera()) as bridge:
                await fleet.aim(model, 1)
                await fleet.hears(ModelActivated)
                await until(lambda: {"/inference", "/frames", "/facts"} <= recorded(ring).keys())

                fill_up(filler, leave_bytes=RESERVE_BYTES // 2)
                await until(lambda: not recorded(ring))
                served, lost = bridge.ledger.frames_served, bridge.black_box.dropped
                await until(lambda: bridge.ledger.frames_served >= served + 50)
                assert bridge.black_box.dropped > lost

                filler.unlink()
                await until(lambda: "/inference" in recorded(ring))


async def test_recorder_that_finds_no_place_leaves_the_robot_serving(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    async with running_fleet(nats_system, tmp_path) as fleet:
        model = tiny_models.brightness(fleet.directory, "v1")
        fleet.publish_model(model)
        settings = fleet.settings(recorder=LIMITS)
        settings.state_dir.mkdir()
        (settings.state_dir / "recorder").write_text("not a directory")
        async with Bridge(settings, source=Camera()) as bridge:
            await fleet.aim(model, 1)
            await fleet.hears(ModelActivated)
            assert not bridge.black_box.records
            assert not bridge.black_box.log("/plan", {"step": 1})
            assert not (await fleet.hears(RobotCheckedIn)).records
