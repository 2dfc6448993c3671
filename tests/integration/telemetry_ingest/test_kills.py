"""Every frame once, whoever is killed with -9 and whenever: the ingest process or the bus."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import InferenceSummarized, TelemetryFrame
from telemetry_ingest.boots import BootRecord, absorb
from telemetry_ingest.columns import columns_of
from telemetry_ingest.moments import moments_of
from telemetry_ingest.summaries import MAX_HELD_FRAMES, summary_of
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of, inference_frames
from tests.integration.telemetry_ingest.ingest_process import Heard, Robot, running_ingest
from tests.unit.telemetry_ingest.histories import rows_of, rows_on_disk

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FRAMES = list(inference_frames("r1", "b1", START, digest_of("a"), count=MAX_HELD_FRAMES))
SEND_EVERY_S = 0.06
KILLS = 5


def expected_summaries(frames: Sequence[TelemetryFrame]) -> dict[int, InferenceSummarized]:
    """What an ingest that nobody disturbs announces, by window."""
    absorbed = absorb(BootRecord(), [moments_of(columns_of(one)) for one in frames])
    first = frames[0]
    return {
        number: summary_of(first.robot_id, first.boot_id, number, moments)
        for number, moments in absorbed.closed
    }


async def stream(robot: Robot) -> None:
    """Send every frame at a steady rate."""
    for frame in FRAMES:
        await robot.send(frame)
        await asyncio.sleep(SEND_EVERY_S)  # the robot's own rate, not a wait for something


@pytest.mark.slow  # frames of the last victim come again after the consumer's ack_wait_s
async def test_ingest_killed_at_random_points_stores_and_summarizes_each_frame_once(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    chance = random.Random(20260301)
    summaries = Heard(InferenceSummarized)
    await summaries.listen(await nats_system.connect(Principal.OPERATOR))
    robot = Robot(await nats_system.connect("r1"), "r1", "b1")
    await robot.listen()
    async with running_ingest(nats_system, tmp_path / "ingest") as ingest:
        streaming = asyncio.create_task(stream(robot))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 1.3))  # a random point is the test
            await ingest.kill()
            await ingest.start()
        await streaming
        await robot.stored(len(FRAMES))
        assert rows_on_disk(ingest.settings) == rows_of(FRAMES)
        expected = expected_summaries(FRAMES)
        heard = await summaries.at_least(len(expected))
        assert {one.window: one for one in heard} == expected
        for one in heard:
            assert one == expected[one.window]


async def test_bus_killed_while_frames_flow_loses_none_and_stores_none_twice(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    chance = random.Random(7)
    robot = Robot(await nats_system.connect("r1"), "r1", "b1")
    await robot.listen()
    async with running_ingest(nats_system, tmp_path / "ingest") as ingest:
        streaming = asyncio.create_task(stream(robot))
        for _ in range(2):
            await asyncio.sleep(chance.uniform(0.5, 2.0))  # a random point is the test
            await nats_system.kill()
            await nats_system.restart()
        await streaming
        await robot.stored(len(FRAMES))
        assert rows_on_disk(ingest.settings) == rows_of(FRAMES)
