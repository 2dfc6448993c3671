"""Brings a model's bytes from the object store to the robot, whatever the link does on the way.

Grant, ranged GETs, adoption. Every range is durable before the next one is asked for; an expired
URL is asked for again; a transfer that moves nothing for several attempts is a transient failure
for the caller to repeat, never a reason to give up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone

import aiohttp
from msgspec import Struct

from edge_bridge.errors import ActivationError, DigestMismatchError, FetchInterruptedError
from edge_bridge.partial import PartialModel
from edge_bridge.ranges import RangeLimits, UrlExpiredError, fetch_range
from edge_bridge.store import ModelStore
from edge_bridge.verify import Listings, verified_manifest
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import FetchGranted, ModelManifest
from fleetward.contracts.robots import RobotTarget

_logger = logging.getLogger(__name__)

Grant = Callable[[Digest], Awaitable[FetchGranted]]
"""Asks the registry for a URL; raises TransientError or FetchRefusedError."""


class FetchLimits(Struct, frozen=True, kw_only=True):
    """How a whole transfer is bounded."""

    ranges: RangeLimits = RangeLimits()
    attempts_without_progress: int = 4
    """Ranges that may fail one after the other before the caller waits longer."""
    retry_wait_s: float = 0.2
    retry_wait_limit_s: float = 5.0
    whole_attempts: int = 2
    """Wrong bytes are fetched once more from the start, in case an old partial was to blame."""


class Fetched(Struct, frozen=True, kw_only=True):
    """What a transfer cost. ``resumed_bytes`` were already here from an attempt before."""

    received_bytes: int
    resumed_bytes: int


class Fetcher:
    """Fetches one model at a time. ``received_bytes`` counts every byte of every attempt."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        grant: Grant,
        store: ModelStore,
        listings: Listings,
        limits: FetchLimits,
    ) -> None:
        self._session = session
        self._grant = grant
        self._store = store
        self._listings = listings
        self._limits = limits
        self.received_bytes = 0

    async def fetch(self, target: RobotTarget, pinned: frozenset[Digest]) -> Fetched:
        """Put the target's model into the store.

        Raises TransientError (call again; what arrived is kept) or an ActivationError (never
        again: signature, digest, disk, refusal).
        """
        before = self.received_bytes
        for attempt in range(1, self._limits.whole_attempts + 1):
            try:
                resumed = await self._fetch_once(target, pinned)
            except DigestMismatchError:
                if attempt == self._limits.whole_attempts:
                    raise
                log(_logger, "fetch.digest_mismatched", level=logging.WARNING, digest=target.digest)
            else:
                break
        return Fetched(received_bytes=self.received_bytes - before, resumed_bytes=resumed)

    async def _fetch_once(self, target: RobotTarget, pinned: frozenset[Digest]) -> int:
        granted = await self._grant(target.digest)
        manifest = verified_manifest(self._listings, granted.signed, target)
        await asyncio.to_thread(self._store.make_room, target.digest, manifest.size_bytes, pinned)
        partial = self._store.partial(target.digest, manifest.size_bytes)
        await asyncio.to_thread(partial.open)
        try:
            resumed = partial.durable_bytes
            await self._fill(partial, manifest, granted)
            await asyncio.to_thread(self._store.adopt, partial, target.digest, granted.signed)
        except ActivationError:
            partial.forget()
            raise
        finally:
            partial.close()
        return resumed

    async def _fill(
        self, partial: PartialModel, manifest: ModelManifest, granted: FetchGranted
    ) -> None:
        """Range after range until every byte is here."""
        failures = 0
        while partial.durable_bytes < manifest.size_bytes:
            try:
                if granted.expires_at <= datetime.now(timezone.utc):
                    granted = await self._grant(manifest.digest)
                await fetch_range(
                    self._session, granted.url, partial, self._limits.ranges, self._count
                )
                failures = 0
            except FetchInterruptedError as problem:
                failures += 1
                log(_logger, "fetch.interrupted", level=logging.WARNING, reason=str(problem))
                if failures >= self._limits.attempts_without_progress:
                    raise
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )
                if isinstance(problem, UrlExpiredError):
                    granted = await self._grant(manifest.digest)

    def _count(self, received: int) -> None:
        self.received_bytes += received
