"""Runs a site's cache until SIGTERM: python -m edge_bridge.site_cache (deploy/site-cache/README.md)."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec import Struct

from edge_bridge.site_cache.proxy import CachingProxy, ProxyLimits
from edge_bridge.site_cache.range_cache import RangeCache
from fleetward.bus.environment import Environment
from fleetward.bus.logs import log
from fleetward.bus.process import exit_status, stop_signal
from fleetward.bus.readiness import notify_ready

_logger = logging.getLogger(__name__)

NAME = "site-cache"
_GB = 1e9


class SiteCacheSettings(Struct, frozen=True, kw_only=True):
    """What a site's cache needs to know. ``origin``: the object store as this site reaches it."""

    origin: str
    directory: Path
    host: str = "0.0.0.0"  # noqa: S104  # a cache is for its neighbours
    port: int = 8480
    limit_bytes: int = int(20 * _GB)


def settings_from(variables: Mapping[str, str]) -> SiteCacheSettings:
    """Settings from FLEETWARD_SITE_CACHE_ variables; raises SettingsError."""
    environment = Environment(variables)
    return SiteCacheSettings(
        origin=environment.text("FLEETWARD_SITE_CACHE_ORIGIN"),
        directory=environment.path("FLEETWARD_SITE_CACHE_DIR"),
        host=environment.text("FLEETWARD_SITE_CACHE_HOST", "0.0.0.0"),  # noqa: S104  # the same
        port=int(environment.number("FLEETWARD_SITE_CACHE_PORT", 8480)),
        limit_bytes=int(environment.number("FLEETWARD_SITE_CACHE_GB", 20) * _GB),
    )


async def serve(settings: SiteCacheSettings) -> None:
    """Answer until SIGTERM or SIGINT."""
    stopping = stop_signal()
    cache = RangeCache(settings.directory, settings.limit_bytes)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = CachingProxy(settings.origin, cache, session, ProxyLimits())
        runner = web.AppRunner(proxy.application(), shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port).start()
        log(_logger, "site_cache.started", origin=settings.origin, port=settings.port)
        notify_ready()
        await stopping.wait()
        await runner.cleanup()


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, lambda: asyncio.run(serve(settings_from(os.environ))))


if __name__ == "__main__":
    sys.exit(main())
