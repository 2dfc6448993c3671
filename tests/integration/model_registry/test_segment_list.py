"""The list of a robot's segments is what the store has: whole, bounded for each robot alone, and of before too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import aiohttp
import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.errors import RefusedError
from fleetward.bus.publish import publish
from fleetward.client import Fleet
from fleetward.client import segments as listing
from fleetward.client.access import Access
from fleetward.contracts.ids import RobotId, SegmentId
from fleetward.contracts.rows import Principal
from fleetward.contracts.segments import (
    GrantSegment,
    KeepSegment,
    Segment,
    SegmentKind,
    SegmentStored,
)
from fleetward.trust.signing import TrustedKeys
from model_registry.objects import open_objects, store_client
from model_registry.part_uploads import PartUploads
from model_registry.recording_objects import RecordingObjects, open_recordings
from model_registry.segment_keys import key_of, old_key_of, place_of
from model_registry.segment_room import Countings, SegmentLimits
from model_registry.segments import Segments
from model_registry.settings import StoreSettings
from testkit import command_line
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.model_registry.command_line import environment_of
from tests.integration.model_registry.registry_here import now
from tests.unit.edge_bridge.segments import segment_of

RECORDING = SegmentKind.RECORDING
MORE_THAN_A_PAGE = 1100
AT_ONCE = 16
IN_ORDER = 130
"""As a robot sends them, one after the other: more than the first look for the newest finds."""
MINUTE = timedelta(minutes=1)


class Shelf:
    """What lies in the store, put there as the registry does, without the way through a robot."""

    def __init__(
        self, store: ObjectStore, objects: RecordingObjects, settings: StoreSettings
    ) -> None:
        self.objects = objects
        self._store = store
        self._settings = settings

    async def put(self, robot: RobotId, *segments: Segment, old: bool = False) -> None:
        async with store_client(self._settings, self._store.endpoint) as client:
            slots = asyncio.Semaphore(AT_ONCE if len(segments) > IN_ORDER else 1)

            async def put_one(segment: Segment) -> None:
                key = (old_key_of if old else key_of)(robot, segment)
                async with slots:
                    await client.put_object(Bucket=self._store.bucket, Key=key, Body=b"x")

            await asyncio.gather(*map(put_one, segments))

    async def count(self, robot: RobotId) -> int:
        entries, _ = await self.objects.page(place_of(robot, RECORDING), "")
        return len(entries)


@pytest.fixture
async def shelf(registry: TrustedKeys, object_store: ObjectStore) -> AsyncIterator[Shelf]:
    assert registry is not None
    keys = object_store.keys.registry
    settings = StoreSettings(
        endpoint=object_store.endpoint,
        public_endpoint=object_store.endpoint,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        bucket=object_store.bucket,
    )
    async with open_objects(settings) as objects, open_recordings(settings, objects) as recordings:
        yield Shelf(object_store, recordings, settings)


def some_robot() -> RobotId:
    return RobotId(f"arm-{uuid4().hex[:6]}")


def minutes(count: int, until: datetime | None = None) -> list[Segment]:
    """A segment a minute, the last of them sealed just now."""
    last = until or now()
    made = []
    for number in range(count):
        at = last - (count - 1 - number) * MINUTE
        segment = segment_of(number, b"%d" % number)
        times = {"started_at": at - MINUTE, "ended_at": at, "sealed_at": at}
        made.append(replace(segment, size_bytes=1, **times))
    return made


async def ids(fleet: Fleet, robot: RobotId) -> list[SegmentId]:
    found = await listing.stored(fleet.connection, robot, RECORDING)
    return [each.segment.segment_id for each in found]


async def test_list_longer_than_the_store_tells_at_once_is_whole_and_of_one_robot(
    fleet: Fleet, shelf: Shelf
) -> None:
    robot, other = some_robot(), some_robot()
    segments = minutes(MORE_THAN_A_PAGE)
    await shelf.put(robot, *segments)
    await shelf.put(other, *minutes(1))
    found = await listing.stored(fleet.connection, robot, RECORDING)
    assert sorted(each.segment.first_number for each in found) == [
        each.first_number for each in segments
    ]
    assert len(await ids(fleet, other)) == 1
    assert await listing.stored(fleet.connection, robot, SegmentKind.LOGS) == []


async def test_newest_are_listed_without_the_rest(
    fleet: Fleet, shelf: Shelf, operator_access: Access
) -> None:
    robot, segments = some_robot(), minutes(600)
    await shelf.put(robot, *segments[:-IN_ORDER])
    await asyncio.sleep(1.0)  # the store tells seconds
    await shelf.put(robot, *segments[-IN_ORDER:])
    found = await listing.newest(fleet.connection, robot, RECORDING, 50)
    assert 51 <= len(found) < 150
    words = ("robot", "recordings", robot, "--continuous", "--json", "--last", "2")
    shown = await command_line.run(environment_of(operator_access), *words)
    told = [(each["segment_id"], each["lost"]) for each in json.loads(shown.output)]
    assert told == [(each.segment_id, 0) for each in segments[-2:]]


async def test_what_was_sealed_with_a_wrong_clock_is_not_said_to_be_missing(
    fleet: Fleet, shelf: Shelf
) -> None:
    robot, segments = some_robot(), minutes(100)
    segments[-3] = replace(segments[-3], sealed_at=datetime(1999, 1, 1, tzinfo=timezone.utc))
    for place in range(97, 100):
        await shelf.put(robot, segments[place])
        await asyncio.sleep(1.0)  # the store tells seconds
    found = await listing.newest(fleet.connection, robot, RECORDING, 2)
    assert [each.segment.first_number for each in found[-3:]] == [
        each.first_number for each in segments[-3:]
    ]
    assert listing.losses(found)[-2:] == [0, 0]


async def test_what_is_missing_is_said_between_those_that_are_there(
    fleet: Fleet, shelf: Shelf
) -> None:
    robot, segments = some_robot(), minutes(6)
    gone = segments.pop(3)
    await shelf.put(robot, *segments[:3])
    await asyncio.sleep(1.0)  # the store tells seconds
    await shelf.put(robot, *segments[3:])
    found = await listing.newest(fleet.connection, robot, RECORDING, 3)
    assert listing.losses(found) == [0, 0, 0, gone.messages, 0]


@asynccontextmanager
async def keeping(
    shelf: Shelf, system: NatsSystem, limits: SegmentLimits
) -> AsyncIterator[Segments]:
    """A registry in this process, which counts at each."""
    connection: Client = await system.connect(Principal.REGISTRY)
    uploads = PartUploads(shelf.objects, 60, now)
    countings = Countings(limits, lambda: 1.0)
    yield Segments(connection, shelf.objects, uploads, limits, countings, now)


async def send(registry: Segments, shelf: Shelf, robot: RobotId, number: int) -> None:
    content = b"%d" % number
    segment = replace(segment_of(number, content), sealed_at=now())
    granted = await registry.grant(GrantSegment(robot_id=robot, segment=segment))
    async with (
        aiohttp.ClientSession() as session,
        session.put(granted.urls[1], data=content) as put,
    ):
        assert put.status == 200
    keep = KeepSegment(robot_id=robot, segment=segment, upload_id=granted.upload_id)
    await registry.keep(keep)


async def test_robot_with_more_than_may_be_loses_its_own_oldest_and_nobody_elses(
    fleet: Fleet, shelf: Shelf, shared_nats_system: NatsSystem
) -> None:
    busy, quiet = some_robot(), some_robot()
    async with keeping(shelf, shared_nats_system, SegmentLimits(size_bytes=10**9, count=3)) as kept:
        await send(kept, shelf, quiet, 1)
        for number in range(1, 8):
            await send(kept, shelf, busy, number)
            assert await shelf.count(busy) <= 3
    assert await ids(fleet, busy) == ["recording-5", "recording-6", "recording-7"]
    assert await ids(fleet, quiet) == ["recording-1"]


async def test_segments_of_before_are_listed_as_long_as_the_store_has_them(
    fleet: Fleet, shelf: Shelf, shared_nats_system: NatsSystem, object_store: ObjectStore
) -> None:
    robot, segments = some_robot(), minutes(4)
    topics = {"/imu": 3}
    *before, gone, new = [replace(each, topics=topics, sealed_at=None) for each in segments]
    connection = await shared_nats_system.connect(Principal.REGISTRY)
    for number, each in enumerate((*before, gone)):
        said = SegmentStored(
            robot_id=robot, segment_id=each.segment_id, segment=each, stored_at=now()
        )
        await publish(connection, said, message_id=f"before-{robot}-{number}")
    await shelf.put(robot, *before, old=True)
    await shelf.put(robot, new)
    assert await ids(fleet, robot) == [*(each.segment_id for each in before), new.segment_id]
    newest = await listing.newest(fleet.connection, robot, RECORDING, 2)
    assert [each.segment for each in newest[:2]] == before

    linked = await listing.link(fleet.connection, robot, before[0].segment_id)
    assert linked.segment == before[0]
    assert (
        await listing.link(fleet.connection, robot, before[0].segment_id, newest[0].key)
    ) is not None
    with pytest.raises(RefusedError, match="has no segment"):
        await listing.link(fleet.connection, robot, gone.segment_id)


async def test_key_of_another_robot_is_no_way_to_its_segment(fleet: Fleet, shelf: Shelf) -> None:
    robot, other, (segment,) = some_robot(), some_robot(), minutes(1)
    await shelf.put(other, segment)
    with pytest.raises(RefusedError, match="has no segment"):
        await listing.link(fleet.connection, robot, segment.segment_id, key_of(other, segment))
