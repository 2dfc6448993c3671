"""The disk that logs are kept on is full: nobody waits for it, and the log says what is missing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from msgspec.structs import replace

from fleetward.bus.logs import log
from tests.faults.small_disks import fill_up, small_disk
from tests.integration.edge_bridge.log_collectors import LIMITS, collector

MIB = 1024 * 1024
FLOOD = 200
ROOM = replace(LIMITS, reserve_bytes=MIB, told_every_s=0.2)


async def test_full_disk_costs_records_that_are_counted_and_collecting_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    disk, logger = tmp_path / "disk", logging.getLogger("a.part")
    logger.setLevel(logging.INFO)
    with small_disk(disk, 8 * MIB):
        async with collector(disk / "segments", ROOM) as (_, told):
            log(logger, "before.it", level=logging.WARNING)
            await told.record("before.it")
            fill_up(disk / "filler")
            for number in range(FLOOD):
                log(logger, "a.flood", number=number)
            log(logger, "seen.live", level=logging.WARNING)
            await told.record("seen.live", live=True)
            await told.record("logs.dropped", live=True)
            (disk / "filler").unlink()
            log(logger, "after.it", level=logging.WARNING)
            await told.record("after.it")
            lost = FLOOD - sum(each.body == "a.flood" for each in told.kept)
            assert lost > 0
            await told.until(
                lambda: any(
                    each.attributes["count_ever"] >= lost
                    for each in told.live
                    if each.body == "logs.dropped"
                )
            )


async def test_collector_that_begins_on_a_full_disk_begins_when_there_is_room(
    tmp_path: Path,
) -> None:
    disk, logger = tmp_path / "disk", logging.getLogger("a.part")
    with small_disk(disk, 8 * MIB):
        async with collector(disk / "segments", ROOM) as (collecting, told):
            log(logger, "before.it", level=logging.WARNING)
            await told.record("before.it", live=True)
            fill_up(disk / "filler")
            killed = collecting.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            while collecting.pid in (None, killed):  # noqa: ASYNC110 (a process)
                await asyncio.sleep(0.02)
            (disk / "filler").unlink()
            log(logger, "after.it", level=logging.WARNING)
            await told.record("after.it")
