"""Hands out one version with all that is said of it, for another registry to publish again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.contracts.curation import ModelCard
from fleetward.contracts.judgements import ExportGranted, ExportModel
from model_registry.chunk_manifests import ChunkManifests
from model_registry.curations import Curations
from model_registry.errors import ObjectMissingError
from model_registry.judgement import refuse_withdrawn
from model_registry.keys import pack_key
from model_registry.objects import ModelObjects


class Exporter:
    """Grants links to a version's packs; what was withdrawn leaves in no way."""

    def __init__(
        self,
        *,
        connection: Client,
        curations: Curations,
        objects: ModelObjects,
        grant_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._curations = curations
        self._objects = objects
        self._manifests = ChunkManifests(objects)
        self._grant_s = grant_s
        self._now = now

    async def export(self, request: ExportModel) -> ExportGranted:
        """Everything about a version; raises UnknownModelError, WithdrawnError."""
        held = await self._curations.load(request.name, request.version)
        version, curation = held.version, held.known.curation
        refuse_withdrawn(held.known.withdrawals, curation.digest, version.manifest.model)
        chunks = version.manifest.chunks
        if chunks is None:
            raise ObjectMissingError(
                f"{version.manifest.model} was published before files were kept in chunks. Publish "
                "these bytes under a new version."
            )
        release = str(curation.release)
        card = await last_value(self._connection, ModelCard, name=request.name, release=release)
        packs = await self._manifests.packs(chunks)
        return ExportGranted(
            version=version,
            curation=curation,
            card=card.event.text if card else "",
            chunks_url=await self._objects.link(chunks.key),
            packs={pack: await self._objects.link(pack_key(pack)) for pack in packs},
            expires_at=self._now() + timedelta(seconds=self._grant_s),
        )
