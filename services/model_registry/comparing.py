"""Answers what stands between two published versions: their chunks, and the delta if there is one."""

from __future__ import annotations

from fleetward.contracts.comparison import CompareVersions, VersionsCompared
from fleetward.contracts.ids import ModelRef
from fleetward.contracts.registry import DeltaGranted, ManifestLink, ModelVersion
from model_registry.errors import UnknownModelError
from model_registry.objects import ModelObjects
from model_registry.records import Records


class Comparer:
    """The handler, with everything it needs passed in."""

    def __init__(self, records: Records, objects: ModelObjects) -> None:
        self._records = records
        self._objects = objects

    async def compare(self, request: CompareVersions) -> VersionsCompared:
        """Link both chunk manifests and the delta; raises UnknownModelError."""
        base, target = await self._version(request.base), await self._version(request.target)
        offered = [offer for offer in target.deltas if offer.base == base.manifest.digest]
        cheapest = min(offered, key=lambda offer: offer.fetch_bytes, default=None)
        link = self._objects.link
        return VersionsCompared(
            base=await self._link(base),
            target=await self._link(target),
            delta=DeltaGranted(offer=cheapest, url=await link(cheapest.stored.key))
            if cheapest is not None
            else None,
        )

    async def _version(self, model: ModelRef) -> ModelVersion:
        record, _ = await self._records.load(model.name)
        for version in record.versions:
            if version.manifest.model == model:
                return version
        raise UnknownModelError(
            f"{model} is not published. `fleetward model show {model.name}` lists what is."
        )

    async def _link(self, version: ModelVersion) -> ManifestLink:
        chunks = version.manifest.chunks
        if chunks is None:
            raise UnknownModelError(
                f"{version.manifest.model} was published without chunks. Publish it again."
            )
        return ManifestLink(stored=chunks, url=await self._objects.link(chunks.key))
