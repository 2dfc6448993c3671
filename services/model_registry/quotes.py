"""Says what an update would cost a robot, by the plan that the robot itself will make."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nats.aio.client import Client

from fleetward.bus.last_values import last_values
from fleetward.contracts.ids import Digest, ModelRef, model_name, version
from fleetward.contracts.quotes import MAX_HELD_SETS, Quote, QuoteUpdate, UpdateQuoted
from fleetward.contracts.registry import DeltaOffer, ModelRecord, ModelVersion
from fleetward.delivery.delta import Delta, decode_delta
from fleetward.delivery.manifest import ChunkManifest
from fleetward.delivery.update import Update
from model_registry.chunk_manifests import ChunkManifests
from model_registry.errors import TooManyHeldSetsError, UnknownModelError
from model_registry.objects import ModelObjects


class Quotes:
    """Answers from the records, the chunk manifests and the headers of deltas."""

    def __init__(self, connection: Client, objects: ModelObjects) -> None:
        self._connection = connection
        self._objects = objects
        self._manifests = ChunkManifests(objects)

    async def quote(self, request: QuoteUpdate) -> UpdateQuoted:
        """A quote for each set of held models; raises UnknownModelError, ObjectStoreError."""
        if len(request.held) > MAX_HELD_SETS:
            raise TooManyHeldSetsError(
                f"{len(request.held)} sets of held models are more than the {MAX_HELD_SETS} of one "
                "request. Ask for fewer robots, for example by site."
            )
        records = [value.event for value in await last_values(self._connection, ModelRecord)]
        by_digest = {each.manifest.digest: each for record in records for each in record.versions}
        wanted = _wanted(records, ModelRef(model_name(request.name), version(request.version)))
        quotes = [await self._quoted(wanted, held, by_digest) for held in request.held]
        return UpdateQuoted(
            model=wanted.manifest.model,
            digest=wanted.manifest.digest,
            size_bytes=wanted.manifest.size_bytes,
            quotes=tuple(quotes),
        )

    async def _quoted(
        self, wanted: ModelVersion, held: Iterable[Digest], by_digest: dict[Digest, ModelVersion]
    ) -> Quote:
        chunks = wanted.manifest.chunks
        if wanted.manifest.digest in held:
            return Quote(fetch_bytes=0)
        if chunks is None:
            return Quote(fetch_bytes=wanted.manifest.size_bytes)
        here = [by_digest[digest] for digest in held if digest in by_digest]
        update = Update(target=await self._manifests.read(chunks), held=await self._held(here))
        offer = await asyncio.to_thread(update.offer, wanted.deltas)
        if offer is None:
            price = await asyncio.to_thread(update.price)
            return Quote(fetch_bytes=chunks.size_bytes + price)
        by_delta = update.by_delta(await self._delta(offer), offer.stored.digest)
        price = await asyncio.to_thread(by_delta.price)
        return Quote(
            fetch_bytes=chunks.size_bytes + offer.header_bytes + price, delta_base=offer.base
        )

    async def _held(self, versions: Iterable[ModelVersion]) -> dict[Digest, ChunkManifest]:
        return {
            each.manifest.digest: await self._manifests.read(each.manifest.chunks)
            for each in versions
            if each.manifest.chunks is not None
        }

    async def _delta(self, offer: DeltaOffer) -> Delta:
        stored = await self._objects.look(offer.stored.key)
        header = await self._objects.read(stored, 0, offer.header_bytes)
        return await asyncio.to_thread(decode_delta, header, offer.stored.size_bytes)


def _wanted(records: Iterable[ModelRecord], model: ModelRef) -> ModelVersion:
    for record in records:
        for each in record.versions:
            if each.manifest.model == model:
                return each
    raise UnknownModelError(f"{model} is not published. `fleetward model list` shows what is.")
