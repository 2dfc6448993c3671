"""A hub that is gone for days: a robot keeps what its disk may hold, and says it all when the hub is back.

The robot's clock is played and everything else is real: its spool and journal on a disk that is too
small for more than they may take, kill -9 in the dark and while they are sent, and a nats-server.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from edge_bridge.journal import Journal
from fleetward.contracts.robots import ModelActivated
from fleetward.local.child import Child, Command
from testkit import forked
from testkit.servers import NatsSystem
from tests.faults.outage_writer import EVENT_EVERY_S, FRAME_EVERY_S, SPOOL_BYTES
from tests.faults.small_disks import small_disk
from tests.integration.edge_bridge.fleet import ROBOT, Fleet, running_fleet

MIB = 1024 * 1024
DAY_S = 86_400
BOOTS = ("day-1", "day-2", "day-3")
SPOOL_DISK_BYTES = SPOOL_BYTES * 3 // 2 + 4 * MIB
"""What the spool may take with pages that are not full and its log; see StoreLimits."""
JOURNAL_DISK_BYTES = MIB
RESIDENT_LIMIT_BYTES = 200 * MIB
"""Of a bridge that empties its spool: it reads it in batches. Generous, for a fork has what it came with."""


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    with small_disk(tmp_path / "robot", SPOOL_DISK_BYTES + JOURNAL_DISK_BYTES):
        async with running_fleet(nats_system, tmp_path) as running:
            yield running


async def day_in_the_dark(state: Path, boot: str, first_s: int) -> None:
    """Live through a day and be killed after its end."""
    arguments = (str(state), boot, str(first_s), str(first_s + 2 * DAY_S))
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.outage_writer", *arguments),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout
    said_s = first_s
    while said_s < first_s + DAY_S:
        said_s = int(await writer.stdout.readline())
    writer.kill()
    await writer.communicate()
    assert frames_in(state)[-1][1] >= said_s, "what it said is on its disk"


def frames_in(state: Path) -> list[tuple[str, int]]:
    """Which frames wait, by boot and the second they began in, in their order."""
    with closing(sqlite3.connect(state / "spool.db")) as database:
        rows = database.execute("SELECT boot, started_at_ns FROM frames ORDER BY place").fetchall()
    return [(boot, started_at_ns // 10**9) for boot, started_at_ns in rows]


def events_in(state: Path) -> list[int]:
    """The generations of the events that wait, in their order."""
    journal = Journal(state / "journal.db")
    events = [unsent.event for unsent in journal.unsent(limit=1000)]
    journal.close()
    return [event.generation for event in events if isinstance(event, ModelActivated)]


def bridge(fleet: Fleet) -> Child:
    """One more life of the robot, now with a hub."""
    settings = fleet.settings()
    environment = {
        "FLEETWARD_ROBOT_ID": ROBOT,
        "FLEETWARD_NATS_URL": settings.nats_url,
        "FLEETWARD_CREDENTIALS": str(settings.credentials),
        "FLEETWARD_STATE_DIR": str(settings.state_dir),
        "FLEETWARD_TRUST_DIR": str(settings.trust_dir),
    }
    return forked.launch(
        Command(
            name="bridge",
            arguments=(sys.executable, "-m", "edge_bridge"),
            environment=environment,
            directory=fleet.directory,
            log=fleet.directory / "bridge.log",
        )
    )


def arrived(fleet: Fleet) -> dict[tuple[str, int], int]:
    """The second in which each frame of the outage began, by boot and number, as they came."""
    return {
        key: frame.started_at_ns // 10**9 for key, frame in fleet.frames.items() if key[0] in BOOTS
    }


async def drained(fleet: Fleet, frames: int, last_event: int) -> None:
    """With kill -9 of the robot on the way, and then of the hub; never with the whole spool in memory."""
    robot = bridge(fleet)
    await fleet.stored(lambda _: len(arrived(fleet)) > frames // 3)
    robot.send(signal.SIGKILL)
    await robot.wait()
    robot = bridge(fleet)
    try:
        await fleet.stored(lambda _: len(arrived(fleet)) > frames * 2 // 3)
        await fleet.system.kill()
        await fleet.system.restart()
        await fleet.stored(lambda _: len(arrived(fleet)) >= frames)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == last_event)
        assert psutil.Process(robot.pid).memory_info().rss < RESIDENT_LIMIT_BYTES
    finally:
        robot.send(signal.SIGKILL)
        await robot.wait()


async def test_days_in_the_dark_cost_old_samples_and_no_event_and_each_arrives_once_in_order(
    fleet: Fleet,
) -> None:
    state, now_s = fleet.settings().state_dir, 0
    for boot in BOOTS:
        await day_in_the_dark(state, boot, now_s)
        now_s = frames_in(state)[-1][1] + FRAME_EVERY_S
    waiting, events = frames_in(state), events_in(state)
    seconds = [at_s for _, at_s in waiting]
    assert seconds[0] == 0, "the outage is told from its first frame on"
    steps = [after - before for before, after in itertools.pairwise(seconds)]
    assert steps[-1] == FRAME_EVERY_S < steps[0], "thinner the older"
    assert len(events) >= len(BOOTS) * DAY_S // EVENT_EVERY_S

    await drained(fleet, len(waiting), events[-1])

    came = arrived(fleet)
    for boot in BOOTS:
        numbers = sorted(number for of, number in came if of == boot)
        assert numbers == list(range(1, len(numbers) + 1)), "no gap"
        of_boot = [at_s for of, at_s in waiting if of == boot]
        assert [came[boot, number] for number in numbers] == of_boot, "in their order, all of them"
    assert fleet.renumbered == [], "a number names one frame"
    told = [fact.generation for fact in fleet.heard if isinstance(fact, ModelActivated)]
    assert told == events, "every event once, in its order"
