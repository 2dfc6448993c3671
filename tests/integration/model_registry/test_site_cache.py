"""A site's cache in front of the real object store: its presigned URLs hold on the way through."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from aiohttp import web

from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.site_cache.proxy import CachingProxy, ProxyLimits
from edge_bridge.site_cache.range_cache import RangeCache
from fleetward.client import Fleet
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.model_registry.robots import Robot, two_versions

ROBOTS = 3


async def test_robots_of_a_site_fetch_one_update_from_the_store_through_their_cache(
    fleet: Fleet, shared_nats_system: NatsSystem, object_store: ObjectStore, tmp_path: Path
) -> None:
    _, version = await two_versions(fleet, tmp_path)
    cache = RangeCache(tmp_path / "cache", 10**9)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = CachingProxy(object_store.endpoint, cache, session, ProxyLimits())
        runner = web.AppRunner(proxy.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        limits = FetchLimits(site_cache=f"http://127.0.0.1:{runner.addresses[0][1]}")
        robots = [Robot(f"arm-{n}", shared_nats_system, tmp_path) for n in range(1, 1 + ROBOTS)]

        costs = await asyncio.gather(*(robot.fetch(version, limits=limits) for robot in robots))

        await runner.cleanup()
    assert [cost.remarks for cost in costs] == [()] * ROBOTS
    assert proxy.origin_bytes == costs[0].received_bytes
