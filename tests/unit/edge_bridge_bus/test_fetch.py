"""A model arrives whole or not at all, whatever the link and the server do on the way."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from edge_bridge.errors import (
    DigestMismatchError,
    FetchInterruptedError,
    FetchRefusedError,
    ManifestRefusedError,
)
from edge_bridge.fetch import Fetched, Fetcher, FetchLimits
from edge_bridge.ranges import RangeLimits
from edge_bridge.store import ModelStore
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import ModelName, ModelRef, Version
from tests.unit.edge_bridge_bus.object_server import (
    Objects,
    Registry,
    digest_of_bytes,
    serving,
    target_for,
)

RANGE_BYTES = 64 * 1024
CONTENT = random.Random(7).randbytes(10 * RANGE_BYTES - 777)
LIMITS = FetchLimits(
    ranges=RangeLimits(range_bytes=RANGE_BYTES, stall_timeout_s=0.3, connect_timeout_s=1.0),
    retry_wait_s=0.01,
)


class Rig:
    """A fetcher with its store, its registry and its object server."""

    def __init__(self, directory: Path, objects: Objects, base_url: str) -> None:
        self.objects = objects
        self.registry = Registry(directory, CONTENT, base_url)
        self.models = directory / "models"
        self.store = ModelStore(self.models, limit_bytes=10**9, reserve_bytes=0)
        self.target = target_for(CONTENT)

    async def fetch(self, limits: FetchLimits = LIMITS) -> Fetched:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            fetcher = Fetcher(session, self.registry.grant, self.store, self.registry, limits)
            return await fetcher.fetch(self.target, frozenset())

    def assert_arrived(self) -> None:
        assert self.store.path(self.target.digest).read_bytes() == CONTENT
        assert list((self.models / "partial").iterdir()) == []

    def assert_nothing_there(self) -> None:
        assert self.store.digests() == frozenset()
        assert list(self.models.glob("*.model")) == []


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    objects = Objects(CONTENT)
    async with serving(objects) as base_url:
        yield Rig(tmp_path, objects, base_url)


async def test_a_model_arrives_in_ranges_and_every_byte_is_counted(rig: Rig) -> None:
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched == Fetched(received_bytes=len(CONTENT), resumed_bytes=0)
    assert len(rig.objects.ranges) == 10


async def test_a_cut_body_costs_one_range_again(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.cut(1000)]
    await rig.fetch()
    rig.assert_arrived()
    assert len(rig.objects.ranges) == 11


async def test_a_stalled_body_never_hangs(rig: Rig) -> None:
    released = asyncio.Event()
    rig.objects.faults = [rig.objects.stall(1000, released)]
    await asyncio.wait_for(rig.fetch(), 10)
    released.set()
    rig.assert_arrived()


async def test_a_drip_below_the_slowest_rate_is_ended_although_it_never_stalls(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.drip(0.01)]
    impatient = FetchLimits(
        ranges=RangeLimits(
            range_bytes=RANGE_BYTES,
            stall_timeout_s=0.3,
            connect_timeout_s=0.1,
            slowest_bytes_per_s=1_000_000,
        ),
        retry_wait_s=0.01,
    )
    await asyncio.wait_for(rig.fetch(impatient), 10)
    rig.assert_arrived()
    assert len(rig.objects.ranges) == 11


async def test_an_expired_url_is_asked_for_again(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.status(403)]
    await rig.fetch()
    rig.assert_arrived()
    assert rig.registry.grants == 2


async def test_a_url_known_to_have_expired_is_not_tried(rig: Rig) -> None:
    rig.registry.valid_for = timedelta(seconds=-1)
    await rig.fetch()
    rig.assert_arrived()
    assert rig.registry.grants == 11


async def test_an_object_store_that_is_down_is_transient_and_keeps_what_arrived(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.status(503)] * LIMITS.attempts_without_progress
    with pytest.raises(FetchInterruptedError):
        await rig.fetch()
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched.received_bytes + fetched.resumed_bytes == len(CONTENT)


async def test_an_interrupted_fetch_goes_on_where_it_stopped(rig: Rig) -> None:
    one_try = FetchLimits(ranges=LIMITS.ranges, attempts_without_progress=1)
    rig.objects.faults = [rig.objects.well()] * 4 + [rig.objects.cut(1000)]
    with pytest.raises(FetchInterruptedError):
        await rig.fetch(one_try)
    before = len(rig.objects.ranges)
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched.resumed_bytes == 4 * RANGE_BYTES
    assert rig.objects.ranges[before][0] == 4 * RANGE_BYTES


async def test_wrong_bytes_are_fetched_once_more_from_the_start(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.spoiled()]
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched.received_bytes == 2 * len(CONTENT)


async def test_bytes_that_stay_wrong_are_refused_and_leave_nothing(rig: Rig) -> None:
    rig.objects.content = bytes(len(CONTENT))
    with pytest.raises(DigestMismatchError, match="Publish the model again"):
        await rig.fetch()
    rig.assert_nothing_there()
    assert list((rig.models / "partial").iterdir()) == []


async def test_more_bytes_than_asked_for_are_not_taken(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.endless()]
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched.received_bytes < len(CONTENT) + 4 * RANGE_BYTES + 1_000_000


@pytest.mark.parametrize("status", [404, 410, 302])
async def test_an_object_that_is_not_there_is_refused_for_good(rig: Rig, status: int) -> None:
    rig.objects.faults = [rig.objects.status(status)]
    with pytest.raises(FetchRefusedError):
        await rig.fetch()


@pytest.mark.parametrize("more_bytes", [-RANGE_BYTES, 1])
async def test_an_object_of_another_size_is_refused_for_good(rig: Rig, more_bytes: int) -> None:
    rig.objects.content = random.Random(7).randbytes(len(CONTENT) + more_bytes)
    with pytest.raises(FetchRefusedError, match=f"the model has {len(CONTENT)}"):
        await rig.fetch()
    rig.assert_nothing_there()
    assert list((rig.models / "partial").iterdir()) == []


async def test_a_store_that_ignores_ranges_is_refused(rig: Rig) -> None:
    rig.objects.faults = [rig.objects.whole()]
    with pytest.raises(FetchRefusedError, match="ignores ranges"):
        await rig.fetch()


async def test_a_manifest_that_is_not_listed_is_refused_before_any_byte(rig: Rig) -> None:
    rig.registry.listed_manifest = None
    with pytest.raises(ManifestRefusedError):
        await rig.fetch()
    assert rig.objects.ranges == []


async def test_replaced_blob_of_the_same_length(rig: Rig) -> None:
    listed = rig.registry.manifest
    rig.registry.describe(opset=16)
    assert len(encode(rig.registry.manifest)) == len(encode(listed))
    rig.registry.listed_manifest = listed
    with pytest.raises(ManifestRefusedError, match="not the one that the registry lists"):
        await rig.fetch()
    assert rig.objects.ranges == []


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": digest_of_bytes(b"another")},
        {"model": ModelRef(ModelName("other"), Version("1"))},
        {"size_bytes": 0},
    ],
)
async def test_a_manifest_of_another_model_is_refused_before_any_byte(
    rig: Rig, changes: dict[str, object]
) -> None:
    rig.registry.describe(**changes)
    with pytest.raises(ManifestRefusedError):
        await rig.fetch()
    assert rig.objects.ranges == []


async def test_a_partial_changed_on_disk_is_not_believed(rig: Rig) -> None:
    partial = rig.store.partial(rig.target.digest, len(CONTENT))
    with partial:
        partial.write(0, CONTENT[:RANGE_BYTES])
        partial.note(RANGE_BYTES, digest_of_bytes(CONTENT[:RANGE_BYTES]).partition(":")[2])
    with partial.path.open("r+b") as file:
        file.write(b"rotten")
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched.resumed_bytes == 0


_FETCHING = """
import asyncio, sys
from pathlib import Path
import aiohttp
from edge_bridge.ranges import RangeLimits, fetch_range
from edge_bridge.store import ModelStore
from tests.unit.edge_bridge_bus.test_fetch import CONTENT, RANGE_BYTES
from tests.unit.edge_bridge_bus.object_server import target_for

async def main(models, url):
    store = ModelStore(Path(models), limit_bytes=10**9, reserve_bytes=0)
    async with aiohttp.ClientSession() as session:
        with store.partial(target_for(CONTENT).digest, len(CONTENT)) as partial:
            while partial.durable_bytes < len(CONTENT):
                await fetch_range(
                    session, url, partial, RangeLimits(range_bytes=RANGE_BYTES), lambda _: None
                )
                print(partial.durable_bytes, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_after_kill_9_at_most_one_range_is_fetched_again(rig: Rig) -> None:
    released = asyncio.Event()

    rig.objects.faults = [rig.objects.well()] * 5 + [rig.objects.stall(1000, released)]
    url = (await rig.registry.grant(rig.target.digest)).url
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _FETCHING,
        str(rig.models),
        url,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout
    for _ in range(5):
        await process.stdout.readline()
    await rig.objects.begun.wait()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    released.set()
    before = len(rig.objects.ranges)
    fetched = await rig.fetch()
    rig.assert_arrived()
    assert fetched.resumed_bytes == 5 * RANGE_BYTES
    assert rig.objects.ranges[before] == (5 * RANGE_BYTES, 6 * RANGE_BYTES)
    assert len(rig.objects.ranges) == 11, "ten ranges, and one of them twice"
