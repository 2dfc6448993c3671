"""A cold fetch from the real store against curl and sha256sum, and fifty robots behind one cache.

python -m tests.bench.distribution_fetch [--gigabytes 1]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import aiohttp
import msgspec
from aiohttp import web
from rich.console import Console

from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.site_cache.proxy import CachingProxy, ProxyLimits
from edge_bridge.site_cache.range_cache import RangeCache
from fleetward.contracts.codec import encode
from testkit.servers import ObjectStore
from tests.bench.distribution_robot import Arrived, Published, fetch
from tests.bench.distribution_store import publish
from tests.bench.measurement import RESULTS, Measurement, table

MEGABYTE = 1_000_000
ROUNDS = 3
COLD_MEGABYTES = 4000
COLD_GOAL = 0.7
MEMORY_GOAL_MB = 150
ROBOTS = 50
UPDATE_MEGABYTES = 400
WAN_GOAL = 1.1


async def measure(
    cold_megabytes: int = COLD_MEGABYTES,
    robots: int = ROBOTS,
    update_megabytes: int = UPDATE_MEGABYTES,
) -> list[Measurement]:
    """Both, one after the other; needs some 20 GB of disk, for the large model and then for the robots."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=RESULTS, prefix="fetch-") as name:
        folder = Path(name).absolute()
        async with _store(folder / "store") as store:
            published = await publish(store, folder / "model", cold_megabytes * MEGABYTE)
            rows = _cold(folder, published)
            published = await publish(store, folder / "model", update_megabytes * MEGABYTE)
            (folder / "model").unlink()
            return [*rows, await _site(store, folder, published, robots)]


def _cold(folder: Path, published: Published) -> list[Measurement]:
    """In turns, so that a neighbour on this machine disturbs both alike."""
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(_curl_and_sha256sum(folder / "curled", published))
        ours.append(_fetched(folder / "robot", published))
    seconds = median(arrived.seconds for arrived in ours)
    ratio = median(theirs) / seconds
    size_mb = published.size_bytes / MEGABYTE
    peak_mb = max(arrived.peak_bytes for arrived in ours) / MEGABYTE
    return [
        Measurement(
            name=f"cold fetch + verify to disk ({size_mb:,.0f} MB)",
            value=size_mb / seconds,
            unit="MB/s",
            ratio=ratio,
            against=f"curl + sha256sum, {size_mb / median(theirs):,.0f} MB/s",
            goal=f">= {COLD_GOAL}x",
            met=ratio >= COLD_GOAL,
        ),
        Measurement(
            name="cold fetch: resident memory, peak",
            value=peak_mb,
            unit="MB",
            goal=f"<= {MEMORY_GOAL_MB} MB",
            met=peak_mb <= MEMORY_GOAL_MB,
        ),
    ]


def _curl_and_sha256sum(path: Path, published: Published) -> float:
    began = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "-o", str(path), published.whole_url], check=True)
    said = subprocess.run(["sha256sum", str(path)], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    assert said.stdout.split()[0] == published.manifest.digest.removeprefix("sha256:")
    path.unlink()
    os.sync()  # what one of the two left to be written must not slow the other
    return seconds


def _fetched(directory: Path, published: Published) -> Arrived:
    """In a process of its own, for its memory; a robot's bridge runs already, so its start is not counted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.distribution_robot", str(directory)],
        input=encode(published),
        check=True,
        stdout=subprocess.PIPE,
    )
    shutil.rmtree(directory)
    os.sync()
    return msgspec.json.decode(done.stdout, type=Arrived)


async def _site(store: ObjectStore, folder: Path, published: Published, robots: int) -> Measurement:
    async with _proxy(store, folder / "cache") as (proxy, url):
        limits = FetchLimits(site_cache=url)
        began = time.perf_counter()
        await asyncio.gather(
            *(_robot(folder / f"robot-{number}", published, limits) for number in range(robots))
        )
        seconds = time.perf_counter() - began
        ratio = proxy.origin_bytes / published.size_bytes
    return Measurement(
        name=f"{robots} robots, one {published.size_bytes / MEGABYTE:,.0f} MB update, one site cache",
        value=proxy.origin_bytes / MEGABYTE,
        unit="MB over the WAN",
        ratio=ratio,
        against=f"one update; all robots had it after {seconds:.0f} s on this machine",
        goal=f"<= {WAN_GOAL}x",
        met=ratio <= WAN_GOAL,
    )


async def _robot(directory: Path, published: Published, limits: FetchLimits) -> None:
    await fetch(directory, published, limits)
    await asyncio.to_thread(shutil.rmtree, directory)


@asynccontextmanager
async def _proxy(store: ObjectStore, directory: Path) -> AsyncIterator[tuple[CachingProxy, str]]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        cache = RangeCache(directory, 2 * UPDATE_MEGABYTES * MEGABYTE)
        proxy = CachingProxy(store.endpoint, cache, session, ProxyLimits())
        runner = web.AppRunner(proxy.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield proxy, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _store(directory: Path) -> AsyncIterator[ObjectStore]:
    store = ObjectStore(directory)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def main() -> None:
    """Measure this file alone, at another size if wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.distribution_fetch")
    parser.add_argument("--gigabytes", type=float, default=COLD_MEGABYTES / 1000)
    parser.add_argument("--robots", type=int, default=ROBOTS)
    parser.add_argument("--update-megabytes", type=int, default=UPDATE_MEGABYTES)
    wanted = parser.parse_args()
    rows = asyncio.run(
        measure(int(wanted.gigabytes * 1000), wanted.robots, wanted.update_megabytes)
    )
    Console(width=160).print(table("distribution: fetch", rows))


if __name__ == "__main__":
    main()
