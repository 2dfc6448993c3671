"""A robot with 20 MB that wait to be stored, at the end of a slow link: what is small and urgent goes first.

Everything is real, the link too (``testkit.bad_link``). The files were recorded before; the link carries them for
as long as the tests last, and longer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from edge_bridge.shipping.fingerprint import fingerprint
from edge_bridge.shipping.limits import ShippingLimits
from edge_bridge.shipping.outbox import Outbox
from fleetward.client import Fleet, segments
from fleetward.contracts.ids import SegmentId
from fleetward.contracts.segments import SUFFIXES, Segment, SegmentKind
from fleetward.local.home import Home
from fleetward.local.up import local_system
from testkit.bad_link import bad_link
from tests.faults.conftest import Fleetward
from tests.faults.test_bad_link import CHECK_IN_S, ROBOT, WAY_S, Robot, behind, check_ins

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

MIB = 1024 * 1024
FILES = 5
FILE_BYTES = 4 * MIB
KBIT_64, MBIT_1 = 8_000.0, 125_000.0
QUEUE_BYTES = 64 * 1024
"""Eight seconds of the slower link: whoever fills it makes everybody wait for so long."""
WATCHED_S = 20.0
LATEST_CHECK_IN_S = {KBIT_64: 4.0, MBIT_1: 2.5}
"""A second is between two; the rest is a portion of telemetry, one and a half of an upload, and two busy cores."""
LATEST_BESIDE_A_FETCH_S = QUEUE_BYTES / KBIT_64
"""A full queue makes everybody wait for so long, and a second is between two: nobody may fill it."""
LEAST_SHARE = {KBIT_64: 0.3, MBIT_1: 0.5}
"""Of the link, which uploads make use of when nothing goes first; telemetry has its part too."""


def fill(state_dir: Path) -> None:
    """Recorded before, and sealed, as a bridge does."""
    outbox_bytes = ShippingLimits().outbox_bytes
    outbox = Outbox(state_dir / "continuous" / "outbox", SegmentKind.RECORDING, outbox_bytes)
    at = datetime.now(timezone.utc)
    for number in range(FILES):
        path = state_dir / f"{number}{SUFFIXES[SegmentKind.RECORDING]}"
        path.write_bytes(random.Random(number).randbytes(FILE_BYTES))
        taken = fingerprint(path)
        segment = Segment(
            segment_id=SegmentId(f"rec-{number}"),
            kind=SegmentKind.RECORDING,
            digest=taken.digest,
            size_bytes=taken.size_bytes,
            messages=1,
            first_number=number,
            end_number=number + 1,
            started_at=at,
            ended_at=at,
        )
        assert outbox.put(path, segment, taken.part_md5s)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robot(models: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robot]:
    """It serves its first model; nothing of what waits has left."""
    home = tmp_path_factory.mktemp("system")
    fill(Home(home).robots / ROBOT)
    with bad_link() as link:
        link.set(bytes_per_s=KBIT_64, delay_s=WAY_S, queue_bytes=QUEUE_BYTES)
        settings = behind(link, home, models, FLEETWARD_CONTINUOUS_TOPICS="/nothing")
        async with local_system(settings, print) as system, Fleet.connect(home) as operator:
            directory = tmp_path_factory.mktemp("models")
            running = Robot(Fleetward(system, operator, models), link, directory)
            for version, gain in (("first", 1.0), ("second", 0.9)):
                await running.publish(version, gain)
            await running.is_taken_to("first")
            yield running
            link.mend()


@pytest.mark.parametrize("bytes_per_s", [KBIT_64, MBIT_1])
async def test_check_ins_keep_their_pace_and_uploads_use_what_is_left(
    robot: Robot, bytes_per_s: float
) -> None:
    robot.link.set(bytes_per_s=bytes_per_s)
    await asyncio.sleep(WATCHED_S / 4)  # the pace of before is not that of now
    before, _ = robot.link.carried_bytes()
    async with check_ins(robot) as heard:
        await asyncio.sleep(WATCHED_S)
    carried = robot.link.carried_bytes()[0] - before
    assert heard.longest_wait_s() < LATEST_CHECK_IN_S[bytes_per_s]
    assert len(heard.arrived) > 0.8 * WATCHED_S / CHECK_IN_S
    assert carried > LEAST_SHARE[bytes_per_s] * bytes_per_s * WATCHED_S


async def test_model_that_is_fetched_meanwhile_goes_first(robot: Robot) -> None:
    robot.link.set(bytes_per_s=KBIT_64)
    await asyncio.sleep(WATCHED_S / 4)
    async with check_ins(robot) as heard:
        # Within two minutes, which it was not when uploads went beside it.
        await robot.is_taken_to("second")
    heard.assert_told_of_a_serving_model()
    assert heard.longest_wait_s() < LATEST_BESIDE_A_FETCH_S


async def test_all_of_it_is_stored_at_last(robot: Robot) -> None:
    robot.link.mend()
    connection = robot.system.fleet.connection
    async with asyncio.timeout(120):
        while True:
            found = await segments.stored(connection, ROBOT, SegmentKind.RECORDING)
            if len(found) == FILES:
                break
            await asyncio.sleep(0.5)
    assert [each.segment.first_number for each in found] == list(range(FILES))
