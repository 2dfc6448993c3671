"""A bridge that is killed anywhere in a fetch goes on with it: at most one range moves again."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

from fleetward.contracts.codec import encode
from tests.unit.edge_bridge_bus.fetch_rig import CONTENT, RANGE_BYTES, Rig
from tests.unit.edge_bridge_bus.fetched_deltas import NEXT, TwoVersions
from tests.unit.edge_bridge_bus.object_server import CHUNK_BYTES

_FETCHING = """
import asyncio, sys
from pathlib import Path
import aiohttp
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.store import ModelStore
from fleetward.contracts.codec import decode
from fleetward.contracts.registry import FetchGranted, ModelManifest
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.listing import listed
from tests.unit.edge_bridge_bus.fetch_rig import LIMITS

async def main(directory):
    granted = decode((directory / "granted").read_bytes(), FetchGranted)
    manifest = decode(granted.signed.payload, ModelManifest)
    target = decode((directory / "target").read_bytes(), RobotTarget)
    store = ModelStore(directory / "models", limit_bytes=10**9, reserve_bytes=0)
    async def grant(digest, held):
        return granted
    class Listing:
        def listed(self, model):
            return listed(granted.signed.payload, manifest.digest, 1, fallback=False)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await Fetcher(lambda: session, grant, store, Listing(), LIMITS).fetch(target, frozenset())

asyncio.run(main(Path(sys.argv[1])))
"""


async def killed_in_range(rig: Rig, ranges_before: int, after_bytes: int) -> None:
    """Start a process that fetches, and kill it -9 in the middle of a later range."""
    granted = await rig.registry.grant(rig.target.digest, tuple(rig.store.digests()))
    (rig.models.parent / "granted").write_bytes(encode(granted))
    (rig.models.parent / "target").write_bytes(encode(rig.target))
    released = asyncio.Event()
    rig.objects.begun.clear()
    stalled = rig.objects.stall(after_bytes, released)
    rig.objects.faults = [rig.objects.well()] * ranges_before + [stalled]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _FETCHING, str(rig.models.parent), cwd=Path(__file__).parents[3]
    )
    await asyncio.wait_for(rig.objects.begun.wait(), 30)
    process.kill()
    await process.wait()
    released.set()
    rig.objects.faults = []


async def test_after_each_kill_9_at_most_one_range_is_fetched_again(rig: Rig) -> None:
    chance = random.Random(11)
    kills = 4
    for kill in range(kills):
        await killed_in_range(
            rig, 1 + chance.randrange(2) - (kill > 0), chance.randrange(RANGE_BYTES)
        )
    cost = await rig.fetch()
    rig.assert_arrived()
    again_bytes = rig.objects.sent_bytes - len(CONTENT) - rig.chunks_bytes
    assert 0 <= again_bytes <= kills * RANGE_BYTES
    assert cost.planned_bytes == len(CONTENT) + rig.chunks_bytes
    # Charged again for a kill: the GET it broke off, and of the one before it what Line still held,
    # one chunk being written and one that waits.
    charged_bytes = RANGE_BYTES + 2 * CHUNK_BYTES
    assert rig.objects.sent_bytes <= cost.received_bytes
    assert cost.received_bytes <= cost.planned_bytes + kills * charged_bytes


async def test_a_delta_goes_on_after_kill_9_without_its_header_again(
    rig: Rig, tmp_path: Path
) -> None:
    versions = TwoVersions(rig, tmp_path)
    await versions.publish()
    await killed_in_range(rig, 2, 30_000)
    await rig.fetch()
    rig.assert_arrived(NEXT)
    assert rig.objects.sent_bytes <= versions.quoted_bytes + RANGE_BYTES
    headers = [one for one in rig.objects.asked_of(versions.offer.stored.digest) if one[0] == 0]
    assert len(headers) == 1


async def test_bytes_torn_by_a_power_cut_are_fetched_again_and_no_others(rig: Rig) -> None:
    """A file as long as it was, whose last blocks never reached the disk."""
    await killed_in_range(rig, 6, 1000)
    (partial,) = (path for path in (rig.models / "partial").iterdir() if not path.suffix)
    torn = RANGE_BYTES // 2
    content = partial.read_bytes()
    partial.write_bytes(content[:-torn] + bytes(torn))
    before = rig.objects.sent_bytes
    await rig.fetch()
    rig.assert_arrived()
    assert rig.objects.sent_bytes - before <= len(CONTENT) - len(content) + RANGE_BYTES


@pytest.mark.parametrize("left", [b"", b"\nasked 1 99", b"\nnonsense\n\xff", b"\nasked 1 x ."])
async def test_an_account_that_was_torn_is_read_as_far_as_it_goes(rig: Rig, left: bytes) -> None:
    rig.store.spending(rig.target.digest, 1).open().plan(7)
    path = rig.models / "partial" / f"{rig.target.digest[7:]}.spending"
    path.write_bytes(path.read_bytes() + left)
    spending = rig.store.spending(rig.target.digest, 1).open()
    spending.ask(5, durable=True)
    spending.unused(2)
    again = rig.store.spending(rig.target.digest, 1).open()
    assert (again.planned_bytes, again.spent_bytes) == (7, 3)
    assert rig.store.spending(rig.target.digest, 2).open().spent_bytes == 0
