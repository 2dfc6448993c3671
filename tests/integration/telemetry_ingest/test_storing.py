"""Frames in; Parquet, watermarks, summaries and exact answers out: on a real NATS server."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.errors import RefusedError
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.contracts.catalog import row_of
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import InferenceSummarized, QueryTelemetry
from telemetry_ingest.__main__ import CONSUMER
from testkit.servers import NatsSystem
from testkit.service_process import EndedEarlyError
from testkit.telemetry import digest_of, inference_frames
from tests.integration.telemetry_ingest.ingest_process import (
    STORED_TIMEOUT_S,
    Heard,
    IngestProcess,
    Robot,
    running_ingest,
)
from tests.unit.telemetry_ingest.histories import rows_of, rows_on_disk

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
A = digest_of("a")
FRAMES = list(inference_frames("r1", "b1", START, A, count=13))


async def test_frames_become_parquet_a_watermark_summaries_and_exact_answers(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    people = await nats_system.connect(Principal.OPERATOR)
    summaries = Heard(InferenceSummarized)
    await summaries.listen(people)
    robot = Robot(await nats_system.connect("r1"), "r1", "b1")
    await robot.listen()
    async with running_ingest(nats_system, tmp_path / "ingest") as ingest:
        for frame in FRAMES:
            await robot.send(frame)
        await robot.stored(13)
        assert rows_on_disk(ingest.settings) == rows_of(FRAMES)
        heard = await summaries.at_least(3)
        assert [(one.window, one.digest, one.inferences) for one in heard] == [
            (window, A, 20) for window in (1, 2, 3)
        ]
        answered = await ask(
            people,
            QueryTelemetry(
                signal="model.inference.duration",
                robot_id=RobotId("r1"),
                start=START,
                end=START + timedelta(minutes=1),
            ),
        )
        expected = [
            (row[4], row[5]) for row in rows_of(FRAMES) if row[3] == "model.inference.duration"
        ]
        assert [(one.at_ns, one.value) for one in answered.samples] == expected
        assert answered.matched == len(expected)
        assert await ingest.stop() == 0


async def test_a_robot_that_sends_everything_again_learns_that_it_is_stored(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    robot = Robot(await nats_system.connect("r1"), "r1", "b1")
    await robot.listen()
    async with running_ingest(nats_system, tmp_path / "ingest") as ingest:
        for frame in FRAMES:
            await robot.send(frame)
        await robot.stored(13)
        heard_before = len(robot.announced)
        await robot.send_again(FRAMES)
        await robot.announcement(heard_before + 1)
        assert robot.announced[-1] == 13
        assert rows_on_disk(ingest.settings) == rows_of(FRAMES)


async def test_poison_becomes_a_dead_letter_and_its_neighbours_are_stored(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    people = await nats_system.connect(Principal.OPERATOR)
    letters = Heard(DeadLettered)
    await letters.listen(people)
    connection = await nats_system.connect("r1")
    robot = Robot(connection, "r1", "b1")
    await robot.listen()
    subject = row_of(type(FRAMES[0])).subject_of(FRAMES[0])
    async with running_ingest(nats_system, tmp_path / "ingest") as ingest:
        await robot.send(FRAMES[0])
        await connection.publish(subject, b"not a frame")
        await publish(connection, replace(FRAMES[1], values=FRAMES[1].values[:-1]))
        await robot.send(FRAMES[2])
        await robot.stored(3)
        assert rows_on_disk(ingest.settings) == rows_of([FRAMES[0], FRAMES[2]])
        heard = await letters.at_least(2)
        assert heard[0].payload == b"not a frame"
        assert "not a multiple of 8" in heard[1].error
        assert {letter.subject for letter in heard} == {subject}
        await nothing_left_on_the_consumer(nats_system)


async def test_a_query_outside_its_limits_is_refused_with_the_reason(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    people = await nats_system.connect(Principal.OPERATOR)
    async with running_ingest(nats_system, tmp_path / "ingest"):
        with pytest.raises(RefusedError, match="is not before end"):
            await ask(people, QueryTelemetry(signal="link.rtt", start=START, end=START))


async def test_a_stop_while_the_bus_is_away_is_obeyed(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    ingest = IngestProcess(nats_system, tmp_path / "ingest")
    await nats_system.kill()
    starting = asyncio.create_task(ingest.start())
    await ingest.logged("history.recovered")
    assert await ingest.stop() == 0
    with pytest.raises(EndedEarlyError):
        await starting


async def nothing_left_on_the_consumer(system: NatsSystem) -> None:
    """Every frame was answered for good. The server tells nobody of it, so it is asked."""
    connection = await system.connect(Principal.PROVISIONER)
    async with asyncio.timeout(STORED_TIMEOUT_S):
        while await unanswered(connection):  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.02)


async def unanswered(connection: Client) -> int:
    told = await connection.jetstream().consumer_info(CONSUMER.stream.value, CONSUMER.durable)
    return told.num_ack_pending or 0
