"""Brings a model's bytes to the robot for as few bytes as possible, whatever the link does on the way.

Grant, chunk manifest, plan, ranged GETs, adoption. Only chunks that the signed manifest proves are
kept, so an attempt goes on where the last one stopped. A transfer that moves nothing for several
attempts is a transient failure for the caller to repeat, never a reason to give up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge_bridge.converging.converge import Cost
from edge_bridge.converging.verify import Listings, verified_manifest
from edge_bridge.errors import (
    ActivationError,
    ByteCapError,
    DigestMismatchError,
    ManifestRefusedError,
)
from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.pace import Pace
from edge_bridge.store import ModelStore
from fleetward.bus.logs import log
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import FetchGranted
from fleetward.contracts.robots import Fetching, RobotTarget

if TYPE_CHECKING:
    import aiohttp

    from edge_bridge.fetching.arrival import Wanted
    from edge_bridge.fetching.transfer import Transfer

_logger = logging.getLogger(__name__)

_MACHINERY = "edge_bridge.fetching.arrival"
"""Brings HTTP and arithmetic over tensors with it, 20 MiB that a robot at rest need not hold."""


async def _at_once() -> None:
    """Nothing holds a fetch up."""


Grant = Callable[[Digest, tuple[Digest, ...]], Awaitable[FetchGranted]]
"""Asks the registry for URLs of a digest, given what is held; raises TransientError or
FetchRefusedError."""


class Fetcher:
    """Fetches one model at a time. ``received_bytes`` counts every byte of every attempt."""

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        grant: Grant,
        store: ModelStore,
        listings: Listings,
        limits: FetchLimits,
        released: Callable[[], Awaitable[None]] = _at_once,
        goes_first: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``released`` is waited for before every range and every block of it.

        ``goes_first`` is entered for as long as a fetch goes on: what is not as urgent steps back.
        """
        self._goes_first = goes_first
        self._released = released
        self._session = session
        self._grant = grant
        self._store = store
        self._listings = listings
        self._limits = limits
        self._pace = Pace(limits.pace)
        self.received_bytes = 0
        self.progress: Fetching | None = None
        """How far the fetch in progress is."""

    async def fetch(
        self, target: RobotTarget, pinned: frozenset[Digest], spent_bytes: int = 0
    ) -> Cost:
        """Put the target's model into the store; fetches that ended spent ``spent_bytes`` on it.

        Raises TransientError (call again; what arrived is kept) or an ActivationError (never
        again: signature, digest, disk, byte cap, refusal).
        """
        try:
            with self._goes_first():
                return await self._fetch(target, pinned, spent_bytes)
        except ByteCapError:
            raise  # what arrived was paid for: a rollout with a higher cap goes on from it
        except ActivationError:
            await asyncio.to_thread(self._store.forget_partial, target.digest)
            raise
        finally:
            self.progress = None

    async def _fetch(
        self, target: RobotTarget, pinned: frozenset[Digest], spent_bytes: int
    ) -> Cost:
        grant = self._granting(target.digest)
        granted = await grant()
        await asyncio.to_thread(import_module, _MACHINERY)  # in a thread: frames go on
        from edge_bridge.fetching.arrival import Wanted
        from edge_bridge.fetching.transfer import Budget, Transfer

        manifest = verified_manifest(self._listings, granted.signed, target)
        if manifest.chunks is None:
            raise ManifestRefusedError(
                f"{target.model} was published without chunks. Publish it again."
            )
        await asyncio.to_thread(self._store.make_room, target.digest, manifest.size_bytes, pinned)
        spending = self._store.spending(target.digest, target.generation)
        budget = Budget(model=target.model, cap_bytes=target.byte_cap, before_bytes=spent_bytes)
        transfer = Transfer(
            self._session(),
            grant,
            granted,
            chunks=manifest.chunks.digest,
            budget=budget,
            spending=await asyncio.to_thread(spending.open),
            limits=self._limits,
            pace=self._pace,
            received=self._count,
            released=self._released,
        )
        await self._arrive(Wanted(manifest, manifest.chunks, granted.signed), transfer)
        return Cost(
            received_bytes=spending.spent_bytes,
            planned_bytes=spending.planned_bytes or 0,
            remarks=tuple(transfer.remarks),
        )

    async def _arrive(self, wanted: Wanted, transfer: Transfer) -> None:
        """Once more when the whole is wrong: then a chunk changed on the disk since it came."""
        from edge_bridge.fetching.arrival import Arrival

        held = await asyncio.to_thread(self._store.held)
        held.pop(wanted.manifest.digest, None)
        for digest in sorted(self._store.digests() - held.keys() - {wanted.manifest.digest}):
            transfer.remark(
                f"{digest} is held and nothing was copied from it: its chunk manifest cannot be read."
            )

        def expect(further_bytes: int) -> None:
            spent_bytes = transfer.spending.spent_bytes
            self.progress = Fetching(
                model=wanted.manifest.model,
                bytes_done=spent_bytes,
                bytes_total=spent_bytes + further_bytes,
            )

        for attempt in range(1, self._limits.whole_attempts + 1):
            try:
                await Arrival(self._store, transfer, wanted, held=held, expect=expect).complete()
            except DigestMismatchError:
                if attempt == self._limits.whole_attempts:
                    raise
                log(_logger, "fetch.digest_mismatched", level=logging.WARNING)
            else:
                return

    def _granting(self, digest: Digest) -> Callable[[], Awaitable[FetchGranted]]:
        async def grant() -> FetchGranted:
            return await self._grant(digest, tuple(sorted(self._store.digests())))

        return grant

    def _count(self, received: int) -> None:
        self.received_bytes += received
        if self.progress is not None:
            self.progress = replace(self.progress, bytes_done=self.progress.bytes_done + received)
