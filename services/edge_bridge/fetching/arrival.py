"""One model on its way: its chunk manifest, its plan, its legs, until the store adopts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.errors import (
    DigestMismatchError,
    DiskFailedError,
    FetchRefusedError,
    ManifestRefusedError,
)
from edge_bridge.fetching.line import Line
from edge_bridge.fetching.partial import PartialModel
from edge_bridge.fetching.rebuild import Rebuild, WrongSourceError
from edge_bridge.fetching.transfer import Transfer
from edge_bridge.store import ModelStore
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DeltaOffer, ModelManifest, SignedManifest, StoredObject
from fleetward.delivery.delta import decode_delta
from fleetward.delivery.errors import DeltaError, ManifestError
from fleetward.delivery.fetch_plan import Held, Step, legs, moved_bytes
from fleetward.delivery.manifest import ChunkManifest, decode_manifest, manifest_digest
from fleetward.delivery.update import Kind, Source, Update

_MB = 1e6
_REFUSED = b""
"""Kept in the place of a delta's header that turned out to be wrong."""


class Wanted(Struct, frozen=True):
    """The model that shall arrive, as it was signed; ``chunks`` is its chunk manifest."""

    manifest: ModelManifest
    chunks: StoredObject
    signed: SignedManifest


class Arrival:
    """Completes one model in the store. ``expect`` hears how many bytes are still to come."""

    def __init__(
        self,
        store: ModelStore,
        transfer: Transfer,
        wanted: Wanted,
        *,
        held: Held,
        expect: Callable[[int], None],
    ) -> None:
        self._store = store
        self._transfer = transfer
        self._manifest = wanted.manifest
        self._stored_chunks = wanted.chunks
        self._signed = wanted.signed
        self._held = held
        self._expect = expect
        self._wrong_packs = 0

    async def complete(self) -> None:
        """Until the model is in the store. Raises TransientError or ActivationError."""
        content, target = await self._chunks()
        update = await self._with_delta(Update(target=target, held=self._held))
        partial = self._store.partial(target)
        try:
            await to_its_end(asyncio.to_thread(partial.open))
            while partial.kept_bytes < partial.size_bytes:
                update = await self._attempt(update, partial)
            adopting = (partial, target.header.digest, self._signed, content)
            await to_its_end(asyncio.to_thread(self._store.adopt, *adopting))
        finally:
            partial.close()

    async def _attempt(self, update: Update, partial: PartialModel) -> Update:
        """Go as far as it goes; return the update to go on with."""
        try:
            steps = self._planned(update, partial.kept_bytes)
            await self._run(steps, update, partial)
        except WrongSourceError as problem:
            return await self._without(update, problem.source, str(problem), partial)
        except (DeltaError, FetchRefusedError) as problem:
            if update.stored is None:
                raise
            source = Source(Kind.DELTA, update.stored)
            return await self._without(update, source, str(problem), partial)
        return update

    def _planned(self, update: Update, kept_bytes: int) -> tuple[Step, ...]:
        """The steps to the end, within the cap."""
        steps = update.steps(kept_bytes)
        further_bytes = moved_bytes(steps)
        self._transfer.refuse_above_cap(further_bytes)
        self._transfer.spending.plan(self._transfer.spending.spent_bytes + further_bytes)
        self._expect(further_bytes)
        return steps

    async def _run(self, steps: tuple[Step, ...], update: Update, partial: PartialModel) -> None:
        paths = {digest: self._store.path(digest) for digest in update.held}
        rebuild = Rebuild(partial, self._store.files, paths, update)
        async with Line(rebuild) as line:
            for leg in legs(steps, self._transfer.limits.ranges.range_bytes):
                await line.run(leg, self._transfer)
            await line.settle()
        if partial.kept_bytes < partial.size_bytes:
            itself = Source(Kind.ITSELF, self._manifest.digest)
            raise WrongSourceError(itself, f"it ends at {partial.kept_bytes}.")

    async def _without(
        self, update: Update, source: Source, reason: str, partial: PartialModel
    ) -> Update:
        """Past the cache if it came through one, else from elsewhere if the cap allows it."""
        is_fetched = source.kind in (Kind.DELTA, Kind.PACK)
        if is_fetched and self._transfer.route.is_cached(source.digest):
            return await self._past_cache(update, source.digest, reason)
        if source.kind is Kind.ITSELF:
            partial.doubt()
            raise DiskFailedError(f"what arrived of {self._manifest.model} changed on the disk.")
        rest = update.without(source)
        if rest is None:
            return self._retried(update, reason)
        if source.kind is Kind.DELTA:
            await self._refuse_delta(source.digest)
        further_bytes = moved_bytes(rest.steps(partial.kept_bytes))
        self._transfer.remark(
            f"{reason} Without it {further_bytes / _MB:.2f} MB were still to be fetched."
        )
        return rest

    async def _past_cache(self, update: Update, source: Digest, reason: str) -> Update:
        """The same again, from the store itself: a delta with its header."""
        self._transfer.route.go_past(source)
        self._transfer.remark(f"the site cache's copy was refused and fetched past it: {reason}")
        if source != update.stored:
            return update
        await asyncio.to_thread(self._store.forget_delta, self._manifest.digest)
        return await self._with_delta(update.plain())

    def _retried(self, update: Update, reason: str) -> Update:
        """Bytes from the store itself may be wrong by the way; twice is no accident."""
        self._wrong_packs += 1
        if self._wrong_packs >= self._transfer.limits.whole_attempts:
            raise DigestMismatchError(
                f"{self._manifest.model} cannot be put together: {reason} Publish the model again."
            )
        self._transfer.remark(f"fetched again: {reason}")
        return update

    async def _chunks(self) -> tuple[bytes, ChunkManifest]:
        """The signed chunk manifest, kept from an attempt before or fetched."""
        stored, digest = self._stored_chunks, self._manifest.digest
        content = await asyncio.to_thread(self._store.kept_chunks, digest)
        if content is None or manifest_digest(content) != stored.digest:
            content = await self._fetched_chunks()
            await asyncio.to_thread(self._store.keep_chunks, digest, content)
        try:
            target = decode_manifest(content)
        except ManifestError as problem:
            raise ManifestRefusedError(f"{self._manifest.model}: {problem}") from problem
        described = (target.header.digest, target.header.size_bytes)
        if described != (digest, self._manifest.size_bytes):
            raise ManifestRefusedError(
                f"the chunks of {self._manifest.model} make {described}, and it is "
                f"{(digest, self._manifest.size_bytes)}. Publish it again."
            )
        return content, target

    async def _fetched_chunks(self) -> bytes:
        stored = self._stored_chunks
        content = await self._transfer.read(stored.digest, stored.size_bytes)
        if manifest_digest(content) == stored.digest:
            return content
        if not self._transfer.route.is_cached(stored.digest):
            raise ManifestRefusedError(
                f"the chunk manifest of {self._manifest.model} is not the signed one "
                f"({stored.digest}). Publish the model again."
            )
        self._transfer.route.go_past(stored.digest)
        self._transfer.remark("the site cache's chunk manifest was refused and fetched past it.")
        return await self._fetched_chunks()

    async def _with_delta(self, update: Update) -> Update:
        """The update by the cheapest delta, or as it is where plain chunks are cheaper."""
        offer = update.offer(tuple(one.offer for one in self._transfer.granted.deltas))
        if offer is None:
            return update
        digest, stored = self._manifest.digest, offer.stored
        header = await asyncio.to_thread(self._store.kept_delta, digest, stored.digest)
        if header == _REFUSED:
            self._transfer.remark(f"an earlier attempt refused the delta from {offer.base}.")
            return update
        try:
            if header is None:
                header = await self._transfer.read(stored.digest, offer.header_bytes)
            by_delta = update.by_delta(decode_delta(header, stored.size_bytes), stored.digest)
        except (DeltaError, FetchRefusedError) as problem:
            return await self._without_offer(update, offer, str(problem))
        await asyncio.to_thread(self._store.keep_delta, digest, stored.digest, header)
        return by_delta

    async def _without_offer(self, update: Update, offer: DeltaOffer, reason: str) -> Update:
        route = self._transfer.route
        if route.is_cached(offer.stored.digest):
            route.go_past(offer.stored.digest)
            self._transfer.remark(
                f"the site cache's delta was refused and fetched past it: {reason}"
            )
            return await self._with_delta(update)
        await self._refuse_delta(offer.stored.digest)
        self._transfer.remark(f"the delta from {offer.base} was refused: {reason}")
        return update

    async def _refuse_delta(self, stored: Digest) -> None:
        """Remember it: an attempt after this one does not try the delta again."""
        await asyncio.to_thread(self._store.keep_delta, self._manifest.digest, stored, _REFUSED)
