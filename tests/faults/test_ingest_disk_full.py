"""A full disk: nothing is acknowledged, the log says what to do, and space brings it all back."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fleetward.contracts.rows import Principal
from telemetry_ingest.__main__ import CONSUMER
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of, inference_frames
from tests.integration.telemetry_ingest.ingest_process import (
    IngestProcess,
    Robot,
    running_ingest,
)
from tests.unit.telemetry_ingest.histories import rows_of, rows_on_disk

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FRAMES = list(inference_frames("r1", "b1", START, digest_of("a"), count=80))
DISK_BYTES = 512 * 1024
FILE_LIMIT_BYTES = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of DISK_BYTES; skipped where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs is not allowed here; the file size test still runs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill_up(filler: Path) -> None:
    """Write until the file system has no room."""
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 (the loop ends in no other way)
    finally:
        os.close(descriptor)


async def unacknowledged(system: NatsSystem) -> int:
    """How many frames the bus still holds for ingest."""
    connection = await system.connect(Principal.PROVISIONER)
    told = await connection.jetstream().consumer_info(CONSUMER.stream.value, CONSUMER.durable)
    return (told.num_ack_pending or 0) + (told.num_pending or 0)


async def full_then_free(
    system: NatsSystem, ingest: IngestProcess, fill: Callable[[], None], free: Callable[[], None]
) -> None:
    """Fill, send, see that nothing is acknowledged, free, see that everything is stored once."""
    robot = Robot(await system.connect("r1"), "r1", "b1")
    await robot.listen()
    fill()
    for frame in FRAMES:
        await robot.send(frame)
    told = await ingest.logged("storage.full")
    assert "Free space where" in told["todo"]
    assert await unacknowledged(system) == len(FRAMES)
    assert robot.announced == []
    free()
    await robot.stored(len(FRAMES))
    await ingest.logged("storage.recovered")
    assert rows_on_disk(ingest.settings) == rows_of(FRAMES)


async def test_full_disk_acknowledges_nothing_and_recovers_when_space_returns(
    nats_system: NatsSystem, tmp_path: Path, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    async with running_ingest(nats_system, tmp_path / "ingest", small_disk / "state") as ingest:
        await full_then_free(nats_system, ingest, lambda: fill_up(filler), filler.unlink)


async def test_file_size_limit_acknowledges_nothing_and_recovers_when_it_is_lifted(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    async with running_ingest(nats_system, tmp_path / "ingest") as ingest:
        assert ingest.child is not None
        pid, unlimited = ingest.child.pid, resource.RLIM_INFINITY

        def limit(most_bytes: int) -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, unlimited))

        await full_then_free(
            nats_system, ingest, lambda: limit(FILE_LIMIT_BYTES), lambda: limit(unlimited)
        )
