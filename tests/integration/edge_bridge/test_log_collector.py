"""The collector as its bridge has it: a process that hears the bridge and its workers, and may die."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.logs.collecting import Collecting
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.logbook import Logbook
from edge_bridge.settings import Settings
from edge_bridge.workers.ring import FrameRing
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.spawning import spawn
from fleetward.bus.logs import log
from fleetward.contracts.ids import ModelName, RobotId
from tests.integration.edge_bridge.log_collectors import LIMITS, WAIT_S, Heard, collector

FLOOD = 3000


async def test_traceback_of_a_worker_is_one_record_and_where_it_always_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with collector(tmp_path / "segments") as (collecting, told):
        ring = FrameRing(1, 1024)
        settings = SlotSettings(stderr_fd=collecting.workers_fd)
        ours, worker = await asyncio.to_thread(spawn, settings, ring)
        with ours:
            ours.setblocking(True)
            ours.send(b"no order at all")
            await asyncio.to_thread(worker.wait)
        ring.close()
        record = await told.record("Traceback", live=True)
        assert (await told.record("Traceback")).body == record.body
    assert record.resource.service_name == "edge-bridge-worker"
    assert record.body.startswith("Traceback (most recent call last):\n  File")
    assert record.body in capfd.readouterr().err


async def test_what_the_bridge_said_before_its_collector_was_there_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "segments"
    collecting, told = Collecting(directory, LIMITS), Heard(directory)
    log(logging.getLogger("a.part"), "before.it", level=logging.ERROR, number=1)
    running = asyncio.ensure_future(collecting.run(told.take))
    record = await told.record("before.it")
    assert (record.attributes, record.severity_text) == ({"number": 1}, "error")
    running.cancel()
    await collecting.stop()
    log(logging.getLogger("a.part"), "after.it")  # nobody is there, and nothing breaks


async def test_what_is_said_while_a_killed_collector_is_started_again_is_kept(
    tmp_path: Path,
) -> None:
    logger = logging.getLogger("a.part")
    async with collector(tmp_path / "segments") as (collecting, told):
        log(logger, "before.it", level=logging.WARNING)
        await told.record("before.it")
        assert collecting.pid is not None
        await asyncio.to_thread(_kill, collecting.pid)
        log(logger, "mean.while", level=logging.WARNING)
        await told.record("mean.while")
        await told.record("logs.collector_ended")


async def test_collector_that_hangs_holds_up_nobody_and_says_later_what_was_dropped(
    tmp_path: Path,
) -> None:
    logger = logging.getLogger("a.part")
    async with collector(tmp_path / "segments") as (collecting, told):
        log(logger, "before.it", level=logging.WARNING)
        await told.record("before.it", live=True)
        assert collecting.pid is not None
        os.kill(collecting.pid, signal.SIGSTOP)
        began_s = time.monotonic()
        for number in range(FLOOD):
            log(logger, "a.flood", level=logging.WARNING, number=number, text="x" * 1000)
            with suppress(BlockingIOError):
                os.write(collecting.workers_fd, b"a worker's flood\n" * 100)
        assert time.monotonic() - began_s < WAIT_S / 2
        os.kill(collecting.pid, signal.SIGCONT)
        await told.record("a.flood")
        log(logger, "after.it", level=logging.WARNING)
        dropped = await told.record("logs.dropped")
        await told.record("after.it")
    kept = sum(each.body == "a.flood" for each in told.kept)
    assert dropped.attributes["count"] == FLOOD - kept > 0
    assert dropped.resource.service_name == "edge-bridge"


def _kill(pid: int) -> None:
    """Until it is dead; it is its parent who buries it."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)


async def test_every_pipelines_workers_are_heard(tmp_path: Path) -> None:
    settings = Settings(
        robot_id=RobotId("arm"),
        nats_url="nats://127.0.0.1:1",
        credentials=tmp_path / "none",
        state_dir=tmp_path,
        trust_dir=tmp_path,
        logs=LIMITS,
    )
    both = replace(settings, pipelines={ModelName("speech"): settings})
    logbook = Logbook(both)
    heard = logbook.open()
    assert heard.slots.stderr_fd == heard.pipelines[ModelName("speech")].slots.stderr_fd
    assert heard.slots.stderr_fd is not None
    await logbook.stop()
    assert Logbook(replace(both, logs=LogSettings())).open().slots.stderr_fd is None


async def test_robot_that_can_start_no_process_goes_on_and_tries_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    collecting, told = Collecting(tmp_path / "segments", LIMITS), Heard(tmp_path / "segments")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # what is open stays open
        running = asyncio.ensure_future(collecting.run(told.take))
        async with asyncio.timeout(WAIT_S):
            while "Too many open files" not in caplog.text:  # noqa: ASYNC110 (a log)
                await asyncio.sleep(0.02)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    log(logging.getLogger("a.part"), "after.it", level=logging.ERROR)
    await told.record("after.it")
    running.cancel()
    await collecting.stop()
