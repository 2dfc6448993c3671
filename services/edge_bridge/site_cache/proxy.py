"""GETs of immutable objects through a site's disk: fifty robots, one copy over the WAN.

The key is object and range without the presigned query, so one robot's grant serves its neighbours
on this site. Nothing is trusted for coming from here: robots check every chunk they get.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec import Struct
from yarl import URL

from edge_bridge.fetching.ranges import Range
from edge_bridge.site_cache.range_cache import CachedRange, RangeCache
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

_OBJECT = re.compile(r"\A/[a-z0-9.-]{3,63}/(packs|manifests|deltas)/sha256/[0-9a-f]{64}\Z")
"""What is named by its digest never changes; nothing else is passed on."""
_RANGE = re.compile(r"\Abytes=(\d{1,12})-(\d{1,12})\Z")
MAX_RANGE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 256 * 1024
_PASSED_ON = frozenset({400, 401, 403, 404, 410, 416})


class OriginError(Exception):
    """The store answered otherwise than with the range; ``status`` is what the robot is told."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ProxyLimits(Struct, frozen=True, kw_only=True):
    """How patient the way to the store is."""

    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 20.0


class CachingProxy:
    """Answers GETs with a range from ``cache``, or from ``origin``, each range once."""

    def __init__(
        self,
        origin: str,
        cache: RangeCache,
        session: aiohttp.ClientSession,
        limits: ProxyLimits,
    ) -> None:
        self._origin = URL(origin)
        self._cache = cache
        self._session = session
        self._limits = limits
        self._coming: dict[tuple[str, Range], asyncio.Task[CachedRange]] = {}
        self.origin_bytes = 0
        """Body bytes that came over the WAN."""

    def application(self) -> web.Application:
        """The proxy as an aiohttp application."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self.answer)
        return application

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One GET of a robot."""
        wanted = _wanted(request)
        if wanted is None or _OBJECT.match(request.raw_path.partition("?")[0]) is None:
            raise web.HTTPBadRequest(text="ask for a range of a pack, a chunk manifest or a delta")
        try:
            found = self._cache.find(request.path, wanted) or await self._fetched(request, wanted)
        except OriginError as problem:
            log(_logger, "site_cache.origin_failed", level=logging.WARNING, reason=str(problem))
            return web.Response(status=problem.status, text=str(problem))
        return await _sent(request, found, wanted)

    async def _fetched(self, request: web.Request, wanted: Range) -> CachedRange:
        """The range, fetched by whoever asks first; the others wait for it."""
        key = (request.path, wanted)
        coming = self._coming.get(key)
        if coming is None:
            coming = asyncio.ensure_future(self._fetch(request, wanted))
            self._coming[key] = coming
            coming.add_done_callback(lambda done: self._arrived(key, done))
        return await asyncio.shield(coming)

    def _arrived(self, key: tuple[str, Range], done: asyncio.Task[CachedRange]) -> None:
        del self._coming[key]
        if not done.cancelled():
            done.exception()  # everybody who waited may be gone: it is nobody's loss then

    async def _fetch(self, request: web.Request, wanted: Range) -> CachedRange:
        temporary = self._cache.temporary(request.path, wanted)
        try:
            await self._download(request, wanted, temporary)
            return await asyncio.to_thread(self._cache.keep, request.path, wanted)
        except (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError) as problem:
            raise OriginError(502, f"the store cannot be reached: {problem!r}") from problem
        except OSError as problem:
            raise OriginError(507, f"the cache's disk failed: {problem}") from problem
        finally:
            temporary.unlink(missing_ok=True)

    async def _download(self, request: web.Request, wanted: Range, temporary: Path) -> None:
        url = URL(f"{self._origin.origin()}{request.raw_path}", encoded=True)
        headers = {
            "Host": request.headers["Host"],
            "Range": request.headers["Range"],
            "Accept-Encoding": "identity",
        }
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self._limits.connect_timeout_s,
            sock_read=self._limits.stall_timeout_s,
        )
        async with self._session.get(
            url, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            _check(response, wanted)
            with temporary.open("wb") as file:
                async for block in response.content.iter_any():
                    self.origin_bytes += len(block)
                    await asyncio.to_thread(file.write, block)


def _wanted(request: web.Request) -> Range | None:
    match = _RANGE.match(request.headers.get("Range", ""))
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return Range(first, last - first + 1) if 0 <= last - first < MAX_RANGE_BYTES else None


def _check(response: aiohttp.ClientResponse, wanted: Range) -> None:
    if response.status in _PASSED_ON:
        raise OriginError(response.status, f"the store answered {response.status}")
    if response.status != 206 or response.content_length != wanted.length:
        raise OriginError(
            502, f"the store answered {response.status} with {response.content_length} bytes"
        )


async def _sent(request: web.Request, found: CachedRange, wanted: Range) -> web.StreamResponse:
    last = wanted.offset + wanted.length - 1
    response = web.StreamResponse(
        status=206, headers={"Content-Range": f"bytes {wanted.offset}-{last}/*"}
    )
    response.content_length = wanted.length
    try:
        file = await asyncio.to_thread(found.path.open, "rb")
    except OSError:  # it made room for another one just now
        return web.Response(status=503, text="try again")
    with file:
        await response.prepare(request)
        while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
            await response.write(block)
    return response
