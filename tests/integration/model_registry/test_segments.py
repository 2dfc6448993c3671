"""Segments on real servers: shipped once and in order, resumed after a kill, refused, pruned, fetched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from msgspec.structs import replace
from nats.aio.msg import Msg

from edge_bridge.fetching.throttle import BURST_S, Throttle
from edge_bridge.link import Link
from edge_bridge.shipping.fingerprint import fingerprint
from edge_bridge.shipping.limits import ShippingLimits
from edge_bridge.shipping.outbox import Outbox
from edge_bridge.shipping.parts import PartSender, parts_of
from edge_bridge.shipping.shipper import Shipper
from edge_bridge.shipping.upstream import Upstream, UpstreamLimits
from fleetward.bus.errors import RefusedError
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.client import segments as listing
from fleetward.contracts.catalog import request_row_of
from fleetward.contracts.ids import RobotId
from fleetward.contracts.recordings import PART_BYTES, UploadGranted
from fleetward.contracts.rows import Principal
from fleetward.contracts.segments import (
    MAX_SEGMENT_BYTES,
    GrantSegment,
    KeepSegment,
    LinkSegment,
    Segment,
    SegmentKind,
    SegmentLinked,
)
from testkit.servers import NatsSystem
from tests.unit.edge_bridge.segments import sealed_file

WAIT_S = 30.0
LIMITS = ShippingLimits(retry_wait_s=0.05, retry_wait_limit_s=0.2, keep_patience_s=2.0)
MIB = 1024 * 1024


class Robot:
    """One that ships what is put into its outbox, over its own credentials."""

    def __init__(self, system: NatsSystem, directory: Path) -> None:
        self.id = RobotId(f"arm-{uuid4().hex[:6]}")
        self.link = Link(system.settings(self.id), directory / "credentials")
        self.directory = directory
        self.outbox = self.opened()
        self.sent_bytes = 0

    def opened(self) -> Outbox:
        """As the next bridge finds it."""
        return Outbox(self.directory / "out", SegmentKind.RECORDING, LIMITS.outbox_bytes)

    def fill(self, *sizes_bytes: int, first: int = 1) -> list[Segment]:
        files = [
            sealed_file(self.directory / "open", number, size_bytes)
            for number, size_bytes in enumerate(sizes_bytes, start=first)
        ]
        for path, segment in files:
            taken = fingerprint(path)
            assert (taken.digest, taken.size_bytes) == (segment.digest, segment.size_bytes)
            assert self.outbox.put(path, segment, taken.part_md5s)
        return [segment for _, segment in files]

    async def ship(
        self, until: Callable[[], bool] | None = None, throttle: Throttle | None = None
    ) -> None:
        """Until ``until`` holds, else until nothing waits; then it is as if the robot had been killed."""
        holds = until or (lambda: len(self.outbox) == 0)
        async with aiohttp.ClientSession() as session:
            upstream = Upstream(UpstreamLimits())
            parts = PartSender(lambda: session, throttle or Throttle(None), upstream, stall_s=5.0)
            shipping = asyncio.ensure_future(
                Shipper(self.id, self.outbox, self.link, parts, LIMITS).run()
            )
            try:
                async with asyncio.timeout(WAIT_S):
                    while not holds():
                        assert not shipping.done(), shipping.result()
                        self.sent_bytes = parts.sent_bytes
                        await asyncio.sleep(0.01)
                self.sent_bytes = parts.sent_bytes
            finally:
                shipping.cancel()


@pytest.fixture
async def robot(
    fleet: Fleet, shared_nats_system: NatsSystem, tmp_path: Path
) -> AsyncIterator[Robot]:
    made = Robot(shared_nats_system, tmp_path)
    await made.link.open()
    yield made
    await made.link.close(1.0)


async def stored(fleet: Fleet, robot: Robot) -> list[Segment]:
    found = await listing.stored(fleet.connection, robot.id, SegmentKind.RECORDING)
    keys = [(each.segment.segment_id, each.key) for each in found]
    linked = [await listing.link(fleet.connection, robot.id, *each) for each in keys]
    return [each.segment for each in linked]


async def fetched(fleet: Fleet, robot: Robot, segment: Segment) -> bytes:
    linked: SegmentLinked = await ask(
        fleet.connection, LinkSegment(robot_id=robot.id, segment_id=segment.segment_id)
    )
    assert linked.segment == segment
    async with aiohttp.ClientSession() as session, session.get(linked.url) as answer:
        return await answer.read()


async def test_each_file_is_stored_once_with_all_its_parts(fleet: Fleet, robot: Robot) -> None:
    segments = robot.fill(1000, PART_BYTES + 1000, 10)
    await robot.ship()
    assert await stored(fleet, robot) == segments
    for number, segment in enumerate(segments, start=1):
        assert await fetched(fleet, robot, segment) == bytes([number]) * segment.size_bytes
    assert robot.sent_bytes == sum(segment.size_bytes for segment in segments)
    assert not list((robot.directory / "out").iterdir())


async def test_upload_that_a_kill_cut_off_goes_on_with_its_part(fleet: Fleet, robot: Robot) -> None:
    (segment,) = robot.fill(2 * PART_BYTES + 1000)

    class Stops(Throttle):
        left = PART_BYTES + MIB

        async def take(self, length: int) -> None:
            self.left -= length
            if self.left < 0:
                await asyncio.Event().wait()

    stops = Stops(None)
    await robot.ship(lambda: stops.left < 0, stops)
    robot.outbox = robot.opened()
    await robot.ship()

    assert robot.sent_bytes == PART_BYTES + 1000
    assert await fetched(fleet, robot, segment) == b"\1" * segment.size_bytes
    assert await stored(fleet, robot) == [segment]


async def test_cap_on_the_link_is_held(fleet: Fleet, robot: Robot) -> None:
    bytes_per_s = 2.0 * MIB
    robot.fill(2 * MIB, 2 * MIB)
    began_s = time.monotonic()
    await robot.ship(throttle=Throttle(bytes_per_s))
    assert time.monotonic() - began_s >= 4 * MIB / bytes_per_s - BURST_S


async def test_bytes_that_are_not_what_was_sealed_are_given_up_and_the_rest_goes_on(
    fleet: Fleet, robot: Robot
) -> None:
    wrong, right = robot.fill(PART_BYTES + 5, 20)
    robot.outbox.path_of(wrong).write_bytes(b"x" * wrong.size_bytes)
    await robot.ship()
    assert (await stored(fleet, robot), robot.outbox.losses.files) == ([right], 1)
    assert await fetched(fleet, robot, right) == b"\2" * 20


async def test_file_that_is_gone_is_given_up_and_the_rest_goes_on(
    fleet: Fleet, robot: Robot
) -> None:
    gone, right = robot.fill(10, 20)
    robot.outbox.path_of(gone).unlink()
    await robot.ship()
    assert await stored(fleet, robot) == [right]
    assert robot.outbox.losses.files == 1


async def test_segment_that_is_too_large_is_refused_for_good(fleet: Fleet, robot: Robot) -> None:
    path, segment = sealed_file(robot.directory, 1)
    robot.outbox.put(path, replace(segment, size_bytes=MAX_SEGMENT_BYTES + 1))
    await robot.ship()
    assert (await stored(fleet, robot), robot.outbox.losses.files) == ([], 1)


async def _swallowed(system: NatsSystem) -> asyncio.Event:
    """Another replica takes the next question of a robot that sent all its parts, and is never heard of again."""
    connection, taken = await system.connect(Principal.REGISTRY), asyncio.Event()
    row = request_row_of(KeepSegment)

    async def take(_: Msg) -> None:
        taken.set()
        await subscription.unsubscribe()

    subscription = await connection.subscribe(row.pattern, queue=row.responder.value, cb=take)
    await connection.flush()
    return taken


async def test_question_that_a_dying_replica_took_is_asked_of_another_soon(
    fleet: Fleet, robot: Robot, shared_nats_system: NatsSystem
) -> None:
    taken = await _swallowed(shared_nats_system)
    sent: list[Segment] = []
    while not taken.is_set():  # the server chooses who is asked
        began_s = time.monotonic()
        sent += robot.fill(1000, first=len(sent) + 1)
        await robot.ship()
    took_s = time.monotonic() - began_s
    assert LIMITS.keep_patience_s <= took_s < request_row_of(KeepSegment).timeout_s / 3
    assert await stored(fleet, robot) == sent


async def test_segment_that_a_dying_replica_put_together_is_not_sent_again(
    fleet: Fleet, robot: Robot
) -> None:
    (segment,) = robot.fill(PART_BYTES + 1000)
    own = await robot.link.connected()
    sealed = robot.outbox.take()
    assert sealed is not None
    async with aiohttp.ClientSession() as session:
        granted: UploadGranted = await ask(own, GrantSegment(robot_id=robot.id, segment=segment))
        upstream = Upstream(UpstreamLimits())
        parts = PartSender(lambda: session, Throttle(None), upstream, stall_s=5.0)
        for part in parts_of(granted.urls, granted.part_bytes, segment.size_bytes):
            await parts.send(robot.outbox.path_of(segment), part)
    keep = KeepSegment(
        robot_id=robot.id,
        segment=segment,
        upload_id=granted.upload_id,
        part_md5s=sealed.part_md5s,
    )
    answers = await asyncio.gather(*(ask(own, keep) for _ in range(3)))
    assert len(answers) == 3, "whoever comes late finds it there"
    robot.outbox.keep(replace(sealed, upload_id=granted.upload_id))
    await robot.ship()
    assert robot.sent_bytes == 0
    assert await fetched(fleet, robot, segment) == b"\1" * segment.size_bytes
    assert await stored(fleet, robot) == [segment]


async def test_robot_cannot_go_on_with_the_upload_of_another(
    fleet: Fleet, robot: Robot, shared_nats_system: NatsSystem
) -> None:
    (segment,) = robot.fill(10)
    own = await robot.link.connected()
    granted: UploadGranted = await ask(own, GrantSegment(robot_id=robot.id, segment=segment))
    other = await shared_nats_system.connect("intruder")
    theirs: UploadGranted = await ask(
        other,
        GrantSegment(robot_id=RobotId("intruder"), segment=segment, upload_id=granted.upload_id),
    )
    assert theirs.upload_id != granted.upload_id
    assert "segments/intruder/recording/" in theirs.urls[1]


async def test_unknown_segment_is_said_to_be_unknown(fleet: Fleet, robot: Robot) -> None:
    with pytest.raises(RefusedError, match="has no segment recording-1"):
        await ask(
            fleet.connection,
            LinkSegment(
                robot_id=robot.id, segment_id=sealed_file(robot.directory, 1)[1].segment_id
            ),
        )
