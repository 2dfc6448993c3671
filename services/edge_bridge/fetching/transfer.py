"""Every GET of one fetch: where to, whether the cap allows it, what it cost, and when to try again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone

import aiohttp
from msgspec import Struct

from edge_bridge.errors import ByteCapError, FetchInterruptedError, FetchRefusedError
from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.fetching.ranges import Range, Take, UrlExpiredError, read_range
from edge_bridge.fetching.site import Route
from edge_bridge.fetching.spending import Spending
from edge_bridge.fetching.throttle import Throttle
from edge_bridge.pace import Pace
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.registry import FetchGranted
from fleetward.delivery.fetch_plan import Need

_logger = logging.getLogger(__name__)
MAX_REMARKS = 8
"""A report stays small; the log has them all."""


class Budget(Struct, frozen=True, kw_only=True):
    """The most that a model may cost; ``before_bytes`` were spent on it by fetches that ended."""

    model: ModelRef
    cap_bytes: int | None
    before_bytes: int = 0


class _OverdueError(Exception):
    """A portion takes so long that smaller ones are better."""


class _Rest:
    """What of a range did not come yet."""

    def __init__(self, need: Need) -> None:
        self.need = need

    def came(self, length: int) -> None:
        """Its first bytes came."""
        left = self.need
        self.need = Need(left.stored, left.offset + length, left.length - length)


class Transfer:
    """GETs for one target. ``received`` hears of every byte as it comes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        grant: Callable[[], Awaitable[FetchGranted]],
        granted: FetchGranted,
        *,
        chunks: Digest,
        budget: Budget,
        spending: Spending,
        limits: FetchLimits,
        pace: Pace,
        received: Callable[[int], None],
        released: Callable[[], Awaitable[None]],
    ) -> None:
        self._released = released
        self.granted = granted
        self.spending = spending
        self.route = Route(limits.site_cache, limits.cache_patience_s)
        self.limits = limits
        self._session = session
        self._grant = grant
        self._chunks = chunks
        self._budget = budget
        self._throttle = Throttle(limits.bytes_per_s)
        self._pace = pace
        self._received = received
        self._failures = 0
        self.remarks: list[str] = []
        """What went another way than planned, for people."""

    def remark(self, sentence: str) -> None:
        """Say once, in the log and later in the report, what went another way."""
        if sentence not in self.remarks:
            if len(self.remarks) < MAX_REMARKS:
                self.remarks.append(sentence)
            log(_logger, "fetch.remarked", level=logging.WARNING, remark=sentence)

    def refuse_above_cap(self, further_bytes: int) -> None:
        """Raise ByteCapError when so many more would pass the cap."""
        cap_bytes = self._budget.cap_bytes
        needed_bytes = self._budget.before_bytes + self.spending.spent_bytes + further_bytes
        if cap_bytes is not None and needed_bytes > cap_bytes:
            raise ByteCapError(
                f"{self._budget.model} needs at least {needed_bytes} bytes on this robot and the "
                f"rollout allows {cap_bytes}. Roll it out --again with the --byte-cap that `fleetward "
                "rollout quote` names, or publish a version that is closer to what the robot holds."
            )

    async def get(self, need: Need, take: Take) -> None:
        """A range of a stored object, with all patience: nothing that came is asked for again.

        Raises FetchInterruptedError after ``attempts_without_progress``, FetchRefusedError, ByteCapError,
        and what ``take`` raises.
        """
        await self._released()
        await self._refresh_if_expired()
        self.refuse_above_cap(need.length)
        is_capped = self._budget.cap_bytes is not None
        await asyncio.to_thread(self.spending.ask, need.length, durable=is_capped)
        rest = _Rest(need)
        try:
            while rest.need.length:
                await self._get_portion(rest, take)
        finally:
            if rest.need.length:
                await asyncio.to_thread(self.spending.unused, rest.need.length)

    async def read(self, stored: Digest, length: int) -> bytes:
        """The first ``length`` bytes of a stored object. Raises as ``get``."""
        content = bytearray()

        async def take(block: bytes) -> None:
            content.extend(block)

        while (begun := len(content)) < length:
            want = min(length - begun, self.limits.ranges.range_bytes)
            await self.get(Need(stored, begun, want), take)
        return bytes(content)

    async def _get_portion(self, rest: _Rest, take: Take) -> None:
        """Some of what is left, in one GET; after a failure the next one goes on at the same byte.

        A site's cache is asked for all of it: it is near, may be silent first, and all robots ask for the same.
        """
        left, begun_s = rest.need, time.monotonic()
        is_cached = self.route.is_cached(left.stored)
        length = left.length if is_cached else min(left.length, self._pace.portion_bytes)

        async def count(block: bytes) -> None:
            await self._released()
            rest.came(len(block))
            self._received(len(block))
            await take(block)
            is_overdue = self._pace.is_overdue(time.monotonic() - begun_s)
            if is_overdue and rest.need.length and not is_cached:
                raise _OverdueError

        try:
            await self._get_range(left, length, count)
        except _OverdueError:
            return  # the next one is smaller
        except FetchInterruptedError as problem:
            await self._pause_after(problem)
            return
        finally:
            if not is_cached:
                self._pace.moved(left.length - rest.need.length, time.monotonic() - begun_s)
        self._failures = 0

    async def _get_range(self, left: Need, length: int, take: Take) -> None:
        """The first ``length`` bytes of what is left. Raises as ``read_range``."""
        try:
            await read_range(
                self._session,
                self.route.place(left.stored, self._url(left.stored)),
                Range(left.offset, length),
                self.limits.ranges,
                self._throttle,
                take,
            )
        except FetchInterruptedError as problem:
            if self._failures:
                self._go_past_cache(left.stored, problem)
            raise
        except FetchRefusedError as problem:
            if not self._go_past_cache(left.stored, problem):
                raise
            raise FetchInterruptedError(f"the site cache: {problem}") from problem

    async def _pause_after(self, problem: FetchInterruptedError) -> None:
        """Wait before the next attempt, with a fresh URL; raise ``problem`` when it is time to."""
        self._failures += 1
        log(_logger, "fetch.interrupted", level=logging.WARNING, reason=str(problem))
        if self._failures >= self.limits.attempts_without_progress:
            raise problem
        await asyncio.sleep(
            pause_s(self._failures, self.limits.retry_wait_s, self.limits.retry_wait_limit_s)
        )
        if isinstance(problem, UrlExpiredError):
            self.granted = await self._grant()

    def _go_past_cache(self, stored: Digest, problem: Exception) -> bool:
        """Whether there was a cache to go past."""
        if not self.route.is_cached(stored):
            return False
        self.route.go_past(stored)
        self.remark(f"the site cache failed and was gone past: {problem}")
        return True

    async def _refresh_if_expired(self) -> None:
        if self.granted.expires_at <= datetime.now(timezone.utc):
            self.granted = await self._grant()

    def _url(self, stored: Digest) -> str:
        """Raises FetchRefusedError when the registry did not grant it."""
        granted = self.granted
        offered = {one.offer.stored.digest: one.url for one in granted.deltas}
        urls = {**granted.packs, **offered, self._chunks: granted.chunks_url}
        url = urls.get(stored)
        if not url:
            raise FetchRefusedError(f"the registry granted no URL for {stored}. Publish it again.")
        return url
