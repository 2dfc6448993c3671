"""A robot records all the time while everything dies in turn: each message is stored once, or said to be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import Struct

from edge_bridge.recorder.file import messages_in
from edge_bridge.shipping.limits import ShippingLimits
from examples.demo import releases
from fleetward.bus.errors import NoAnswerError
from fleetward.client import Fleet, segments
from fleetward.contracts.segments import Segment, SegmentKind, lost_before
from fleetward.local.programs import Settings, fleet
from fleetward.local.system import LocalSystem
from fleetward.local.up import local_system
from testkit import forked

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOT = fleet(1)[0].robot_id
BRIDGE = f"edge-bridge.{ROBOT}"
PROCESSES = (BRIDGE, "seaweedfs", "model-registry", "nats-server")
WAIT_S = ShippingLimits().keep_patience_s + 40.0
"""A registry that dies with a question leaves the robot waiting for its answer, and then asking again."""
FRAME_RATE_HZ = 50


class Recording(Struct, frozen=True):
    """A system whose robot records its frames, and an operator's way into it."""

    system: LocalSystem
    operator: Fleet

    async def stored(self) -> list[Segment]:
        """Asked until somebody answers: the registry comes back after a server that was killed."""
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(NoAnswerError):
                    found = await segments.stored(
                        self.operator.connection, ROBOT, SegmentKind.RECORDING
                    )
                    return [each.segment for each in found]
                await asyncio.sleep(0.1)

    async def stores_more(self, count: int) -> None:
        """Until so many segments more are stored."""
        wanted = len(await self.stored()) + count
        async with asyncio.timeout(WAIT_S):
            while True:
                if len(await self.stored()) >= wanted:
                    return
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture(loop_scope="module")
async def recording(models: Path, tmp_path: Path) -> AsyncIterator[Recording]:
    environment = {
        "FLEETWARD_FRAMES_DIR": str(models / "frames"),
        "FLEETWARD_FRAME_RATE_HZ": str(FRAME_RATE_HZ),
        "FLEETWARD_FRAME_HEIGHT_PX": str(releases.FRAME_HEIGHT_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(releases.FRAME_WIDTH_PX),
        "FLEETWARD_CHECK_IN_S": "1",
        "FLEETWARD_CONTINUOUS_TOPICS": "/frames,/facts,/signals",
        "FLEETWARD_CONTINUOUS_SEGMENT_S": "0.5",
    }
    settings = Settings(home=tmp_path / "home", robots=fleet(1, environment), launch=forked.launch)
    async with local_system(settings, print) as system, Fleet.connect(settings.home) as operator:
        yield Recording(system, operator)


async def test_each_message_is_stored_once_or_said_to_be_lost(
    recording: Recording, tmp_path: Path
) -> None:
    for process in PROCESSES:
        await recording.stores_more(1)
        pid = recording.system.kill(process)
        assert pid, f"{process} was not running"
        await recording.system.ready(process, after_pid=pid)
    await recording.stores_more(2)

    found = await recording.stored()
    previous, lost = None, 0
    for segment in found:
        path = tmp_path / f"{segment.segment_id}.mcap"
        fetched = await segments.fetch(
            recording.operator.connection, ROBOT, segment.segment_id, path
        )
        assert len(list(messages_in(path))) == fetched.messages == segment.messages
        assert previous is None or previous.end_number <= segment.first_number
        lost += lost_before(segment, previous)
        previous = segment
    kept = sum(segment.messages for segment in found)
    assert found[0].first_number == 0
    assert kept + lost == found[-1].end_number
    # The death of the bridge costs what it had in memory: less than two seconds' worth.
    assert sum(segment.cut_off for segment in found) <= 1
    assert lost <= 2 * 2 * FRAME_RATE_HZ
    assert recording.system.process(BRIDGE).restarts == 1
