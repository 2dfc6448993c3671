"""Fifty robots pull one copy over the WAN, and nothing is believed for coming from a cache."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from edge_bridge.converging.converge import Cost
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.fetching.ranges import Range
from edge_bridge.site_cache.proxy import CachingProxy, ProxyLimits
from edge_bridge.site_cache.range_cache import RangeCache
from edge_bridge.store import ModelStore
from fleetward.local.ports import free_port
from tests.unit.edge_bridge_bus.fetch_rig import CONTENT, LIMITS, Rig
from tests.unit.edge_bridge_bus.fetched_deltas import NEXT, TwoVersions

ROBOTS = 12


class Site:
    """A cache in front of the rig's object server."""

    def __init__(self, rig: Rig, directory: Path, url: str, proxy: CachingProxy) -> None:
        self.rig = rig
        self.directory = directory
        self.url = url
        self.proxy = proxy
        self.limits = replace(LIMITS, site_cache=url)

    def poison(self) -> None:
        """Every range in the cache gets other bytes."""
        for path in self.directory.iterdir():
            path.write_bytes(bytes(path.stat().st_size))

    async def robot(self, name: str) -> Cost:
        """Another robot of the site fetches the target."""
        store = ModelStore(self.rig.models / name, limit_bytes=10**9, reserve_bytes=0)
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            registry = self.rig.registry
            fetcher = Fetcher(lambda: session, registry.grant, store, registry, self.limits)
            cost = await fetcher.fetch(self.rig.target, frozenset())
        assert store.files.digest(store.path(self.rig.target.digest)) == self.rig.target.digest
        return cost


@asynccontextmanager
async def running(rig: Rig, directory: Path) -> AsyncIterator[Site]:
    cache = RangeCache(directory, 10**9)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = CachingProxy(rig.registry.base_url, cache, session, ProxyLimits())
        runner = web.AppRunner(proxy.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            yield Site(rig, directory, f"http://{host}:{port}", proxy)
        finally:
            await runner.cleanup()


@pytest.fixture
async def site(rig: Rig, tmp_path: Path) -> AsyncIterator[Site]:
    async with running(rig, tmp_path / "cache") as made:
        yield made


async def test_many_robots_at_once_pull_one_copy_over_the_wan(site: Site) -> None:
    costs = await asyncio.gather(*(site.robot(f"r{n}") for n in range(ROBOTS)))
    update = len(CONTENT) + site.rig.chunks_bytes
    assert {cost.received_bytes for cost in costs} == {update}
    assert site.rig.objects.sent_bytes == site.proxy.origin_bytes == update
    assert not any(cost.remarks for cost in costs)


async def test_a_cache_is_asked_for_whole_ranges_however_long_it_takes(site: Site) -> None:
    large = replace(LIMITS.ranges, range_bytes=len(CONTENT))
    site.limits = replace(site.limits, ranges=large, portion_s=1e-3, least_portion_bytes=1)
    await site.robot("slow")
    assert site.rig.objects.asked_of(site.rig.pack) == [(0, len(CONTENT))]


async def test_the_store_sees_its_own_host_for_which_urls_were_signed(site: Site) -> None:
    await site.robot("r1")
    assert site.rig.objects.hosts == {site.rig.registry.base_url.removeprefix("http://")}


async def test_a_cache_that_was_restarted_still_has_what_it_had(site: Site, rig: Rig) -> None:
    await site.robot("r1")
    before = rig.objects.sent_bytes
    async with running(rig, site.directory) as again:
        await again.robot("r2")
    assert rig.objects.sent_bytes == before


async def test_poisoned_content_is_refused_by_hash_and_fetched_past_the_cache(site: Site) -> None:
    await site.robot("r1")
    site.poison()
    cost = await site.robot("r2")
    assert [remark[:16] for remark in cost.remarks] == ["the site cache's", "the site cache's"]
    update = len(CONTENT) + site.rig.chunks_bytes
    assert cost.received_bytes > cost.planned_bytes >= update


async def test_a_poisoned_delta_is_fetched_past_the_cache_and_still_taken(
    rig: Rig, tmp_path: Path
) -> None:
    versions = TwoVersions(rig, tmp_path)
    await versions.publish()
    async with running(rig, tmp_path / "cache") as site:
        await rig.fetch(site.limits)
        rig.store.remove(rig.target.digest)
        site.poison()
        cost = await rig.fetch(site.limits)
    rig.assert_arrived(NEXT)
    assert cost.remarks
    assert cost.received_bytes < len(NEXT)


async def test_a_cache_that_is_down_is_gone_past_and_that_is_said(rig: Rig) -> None:
    limits = replace(LIMITS, site_cache=f"http://127.0.0.1:{free_port()}")
    cost = await rig.fetch(limits)
    rig.assert_arrived()
    assert cost.remarks[0].startswith("the site cache failed")
    assert cost.received_bytes == cost.planned_bytes


async def test_a_grant_that_expired_is_asked_for_again_through_the_cache(site: Site) -> None:
    site.rig.objects.faults = [site.rig.objects.status(403)]
    cost = await site.robot("r1")
    assert not cost.remarks


@pytest.mark.parametrize(
    ("path", "range_header"),
    [
        ("/models/models/sha256/" + "a" * 64, "bytes=0-9"),
        ("/models/packs/sha256/../../secret", "bytes=0-9"),
        ("/models/packs/sha256/" + "a" * 64, ""),
        ("/models/packs/sha256/" + "a" * 64, "bytes=9-0"),
        ("/models/packs/sha256/" + "a" * 64, "bytes=0-99999999999"),
    ],
)
async def test_nothing_but_ranges_of_named_bytes_is_passed_on(
    site: Site, path: str, range_header: str
) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{site.url}{path}", headers={"Range": range_header})
        assert answer.status == 400
    assert site.rig.objects.ranges == []


def test_the_ranges_longest_unused_make_room(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path, 25)
    for offset in (0, 10):
        cache.temporary("/a", Range(offset, 10)).write_bytes(bytes(10))
        cache.keep("/a", Range(offset, 10))
    assert cache.find("/a", Range(0, 10))
    cache.temporary("/b", Range(0, 10)).write_bytes(bytes(10))
    cache.keep("/b", Range(0, 10))
    assert cache.find("/a", Range(10, 10)) is None
    assert cache.find("/a", Range(0, 10))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 20
    assert RangeCache(tmp_path, 25).find("/b", Range(0, 10))


async def test_the_process_a_site_runs_serves_robots_and_stops_when_told(
    rig: Rig, tmp_path: Path
) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_bridge.site_cache"),
        env={
            **os.environ,
            "FLEETWARD_SITE_CACHE_ORIGIN": rig.registry.base_url,
            "FLEETWARD_SITE_CACHE_DIR": str(tmp_path / "cache"),
            "FLEETWARD_SITE_CACHE_HOST": "127.0.0.1",
            "FLEETWARD_SITE_CACHE_PORT": str(port),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    assert b"site_cache.started" in await process.stderr.readline()
    cost = await rig.fetch(replace(LIMITS, site_cache=f"http://127.0.0.1:{port}"))
    process.terminate()
    assert await process.wait() == 0
    rig.assert_arrived()
    assert not cost.remarks
