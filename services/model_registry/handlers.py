"""Publishes uploads and grants their bytes to robots: load, decide, save."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import ModelRef, model_name, version
from fleetward.contracts.registry import (
    ChunksListed,
    DeltaGranted,
    FetchGranted,
    GrantFetch,
    ListChunks,
    ManifestLink,
    ModelManifest,
    ModelRecord,
    ModelRegistered,
    ModelVersion,
    RegisterModel,
    SignedManifest,
)
from fleetward.contracts.robots import SignedTarget
from fleetward.trust.signing import MANIFEST
from model_registry import description, grants, publication, verification
from model_registry.chunk_manifests import ChunkManifests
from model_registry.curations import Curations
from model_registry.errors import ObjectStoreError, PassingError, RegistryError
from model_registry.inspection import InspectionLimits, inspect
from model_registry.intake import Intake, refuse_foreign_key
from model_registry.judgement import refuse_withdrawn
from model_registry.keys import pack_key
from model_registry.merging import keep_adapter
from model_registry.objects import ModelObjects
from model_registry.publication import Candidate, RecordStep
from model_registry.records import Records
from model_registry.scratch import Scratch
from model_registry.settings import Settings
from model_registry.trust_ledger import TrustLedger
from model_registry.verdicts import Inspection

_logger = logging.getLogger(__name__)

Inspect = Callable[[Path, InspectionLimits], Awaitable[Inspection]]
"""What says what a file is; raises ModelRefusedError, InspectionFailedError."""


class Registry:
    """The handlers, with everything they need passed in."""

    def __init__(
        self,
        *,
        connection: Client,
        objects: ModelObjects,
        curations: Curations,
        records: Records,
        ledger: TrustLedger,
        settings: Settings,
        intake: Intake,
        scratch: Scratch,
        now: Callable[[], datetime],
        inspect: Inspect = inspect,
    ) -> None:
        self._connection = connection
        self._records = records
        self._objects = objects
        self._curations = curations
        self._scratch = scratch
        self._inspect = inspect
        self._intake = intake
        self._manifests = ChunkManifests(objects)
        self._ledger = ledger
        self._settings = settings
        self._now = now
        self._verifying = asyncio.Semaphore(settings.verifications_at_once)

    async def register_model(self, request: RegisterModel) -> ModelRegistered:
        """Adopt an upload as a version; it is gone afterwards, unless only we stood in its way."""
        model = ModelRef(model_name(request.name), version(request.version))
        refuse_foreign_key(request.upload_key)
        try:
            registered = await self._register(model, request)
        except PassingError:
            raise  # what was sent is good for the next push
        except RegistryError:
            await self._remove(request.upload_key)
            raise
        await self._remove(request.upload_key)
        return registered

    async def grant_fetch(self, request: GrantFetch) -> FetchGranted:
        """Tell a robot where the bytes lie that its own target names."""
        target = await last_value(self._connection, SignedTarget, robot_id=request.robot_id)
        model = grants.model_granted(target.event if target else None, request)
        refuse_withdrawn(await self._curations.withdrawals(), request.digest, model)
        record, _ = await self._records.load(model.name)
        granted = grants.version_granted(record, model, request)
        expires_at = self._now() + timedelta(seconds=self._settings.store.grant_s)
        return await self._fetch_granted(granted, request, expires_at)

    async def list_chunks(self, request: ListChunks) -> ChunksListed:
        """Tell a publisher which chunks stand already."""
        record, _ = await self._records.load(model_name(request.name))
        listed = grants.manifests_listed(record)
        return ChunksListed(
            manifests=tuple(
                [
                    ManifestLink(stored=each, url=await self._objects.link(each.key))
                    for each in listed
                ]
            )
        )

    async def _fetch_granted(
        self, granted: ModelVersion, request: GrantFetch, expires_at: datetime
    ) -> FetchGranted:
        chunks, link = granted.manifest.chunks, self._objects.link
        packs = await self._manifests.packs(chunks) if chunks is not None else ()
        deltas = grants.deltas_granted(granted, request)
        return FetchGranted(
            expires_at=expires_at,
            signed=granted.signed,
            chunks_url=await link(chunks.key) if chunks is not None else "",
            packs={pack: await link(pack_key(pack)) for pack in packs},
            deltas=tuple(
                [DeltaGranted(offer=each, url=await link(each.stored.key)) for each in deltas]
            ),
        )

    async def _register(self, model: ModelRef, request: RegisterModel) -> ModelRegistered:
        description.refuse_description(request)
        refuse_withdrawn(await self._curations.withdrawals(), request.digest, model)
        record, _ = await self._records.load(model.name)
        done = publication.published(record, model, request.digest, request.fits)
        if done is not None:
            return ModelRegistered(version=done, already_published=True)
        try:
            async with self._verifying:
                candidate = await self._verified(model, request, record)
        except RegistryError:
            record, _ = await self._records.load(model.name)
            done = publication.published(record, model, request.digest, request.fits)
            if done is None:
                raise
            # the same push came twice, and the first has taken the upload away
            return ModelRegistered(version=done, already_published=True)
        step = await self._records.change(
            model.name,
            lambda record: description.described(
                self._publish(record, candidate), request, self._now()
            ),
        )
        return _registered(step, candidate)

    async def _verified(
        self, model: ModelRef, request: RegisterModel, record: ModelRecord
    ) -> Candidate:
        """Rebuild, hash and inspect the file, then keep exactly these bytes under their digests."""
        upload = await self._intake.look(request)
        size_bytes = upload.manifest.header.size_bytes
        verification.refuse_size(request, size_bytes, self._settings.max_model_bytes)
        with self._scratch.folder() as folder:
            path = folder / "model"
            verified = await self._intake.rebuilt(upload, request, path)
            inspection = await self._inspect(path, self._settings.inspection)
            merged = await keep_adapter(
                self._objects, self._intake, record, request, self._scratch, folder / "adapter"
            )
            candidate = verification.candidate(model, request, inspection, verified.chunks, merged)
            self._publish(record, candidate)  # a refusal that is known now leaves no object behind
            await self._intake.keep(verified)
        return candidate

    def _publish(self, record: ModelRecord, candidate: Candidate) -> RecordStep:
        return publication.publish(record, candidate, self._now(), self._signed)

    def _signed(self, manifest: ModelManifest) -> ModelVersion:
        payload = encode(manifest)
        signature = self._ledger.sign(MANIFEST, payload)
        signed = SignedManifest(
            payload=payload, key_id=signature.key_id, signature=signature.signature
        )
        return ModelVersion(manifest=manifest, signed=signed)

    async def _remove(self, upload_key: str) -> None:
        try:
            await self._objects.remove_all(f"{upload_key}/")
        except ObjectStoreError as error:
            # Not fatal: remove_stale_uploads takes it at a later start.
            log(
                _logger,
                "upload.not_removed",
                level=logging.WARNING,
                key=upload_key,
                error=str(error),
            )


def _registered(step: RecordStep, candidate: Candidate) -> ModelRegistered:
    version = publication.published(step.record, candidate.model, candidate.digest)
    assert version is not None, "publish() returns a record that holds the candidate"
    log(
        _logger,
        "model.published",
        model=str(candidate.model),
        digest=candidate.digest,
        release=version.manifest.release,
        already_published=not step.facts,
    )
    return ModelRegistered(version=version, already_published=not step.facts)
