"""Reads what lies in the bucket again, and puts whole packs where damaged ones lie."""

from __future__ import annotations

import asyncio
import hashlib
import logging

from fleetward.bus.logs import log
from fleetward.contracts.ids import Digest, ModelName, Version
from fleetward.contracts.registry import ManifestLink, StoredObject
from fleetward.contracts.repairs import (
    CheckPacks,
    DamagedPack,
    PacksChecked,
    PacksRepaired,
    RepairPacks,
)
from fleetward.delivery.manifest import MAX_PACK_BYTES
from model_registry import verification
from model_registry.chunk_manifests import ChunkManifests
from model_registry.errors import (
    ObjectMissingError,
    PackMissingError,
    UnknownModelError,
)
from model_registry.intake import Intake, refuse_foreign_key
from model_registry.keys import pack_key
from model_registry.objects import ModelObjects, SeenObject
from model_registry.pack_windows import windows
from model_registry.records import Records

_logger = logging.getLogger(__name__)


class Repairer:
    """Looks after the packs of published versions, one request at a time."""

    def __init__(self, records: Records, objects: ModelObjects, intake: Intake) -> None:
        self._records = records
        self._objects = objects
        self._intake = intake
        self._manifests = ChunkManifests(objects)
        self._turn = asyncio.Lock()

    async def check(self, request: CheckPacks) -> PacksChecked:
        """Hash every pack of a version; raises UnknownModelError, DigestMismatchError (its manifest)."""
        async with self._turn:
            chunks = await self._chunks(request.name, request.version)
            packs = await self._manifests.packs(chunks)
            damaged = [pack for pack in packs if not await self._is_whole(pack)]
            log(
                _logger,
                "packs.checked",
                model=f"{request.name}:{request.version}",
                packs=len(packs),
                damaged=len(damaged),
            )
            return PacksChecked(
                packs=len(packs),
                damaged=tuple([await self._linked(pack) for pack in damaged]),
                chunks=ManifestLink(stored=chunks, url=await self._objects.link(chunks.key)),
            )

    async def repair(self, request: RepairPacks) -> PacksRepaired:
        """Replace packs by uploads that are what the packs' names say, whatever becomes of the rest.

        Raises UnknownModelError, PackMissingError, DigestMismatchError, what ``Intake.seen`` raises.
        """
        refuse_foreign_key(request.upload_key)
        async with self._turn:
            try:
                chunks = await self._chunks(request.name, request.version)
                needed = frozenset(await self._manifests.packs(chunks))
                for pack in request.packs:
                    await self._replace(request, pack, needed)
            finally:
                await self._objects.remove_all(f"{request.upload_key}/")
        return PacksRepaired(packs=tuple(pack.digest for pack in request.packs))

    async def _replace(
        self, request: RepairPacks, pack: StoredObject, needed: frozenset[Digest]
    ) -> None:
        if pack.digest not in needed:
            raise PackMissingError(
                f"{request.name}:{request.version} needs no pack {pack.digest}. Repair the version "
                "that does."
            )
        seen = await self._intake.seen(request.upload_key, pack, MAX_PACK_BYTES)
        content = await self._objects.read(seen)
        found = Digest(f"sha256:{(await asyncio.to_thread(hashlib.sha256, content)).hexdigest()}")
        verification.refuse_other(pack, found)
        await self._objects.replace(pack_key(pack.digest), content)
        log(_logger, "pack.repaired", pack=pack.digest)

    async def _chunks(self, name: ModelName, version: Version) -> StoredObject:
        record, _ = await self._records.load(name)
        for held in record.versions:
            if held.manifest.model.version == version and held.manifest.chunks is not None:
                return held.manifest.chunks
        raise UnknownModelError(
            f"{name}:{version} is not published. `fleetward model show {name}` lists what is."
        )

    async def _is_whole(self, pack: Digest) -> bool:
        try:
            seen = await self._objects.look(pack_key(pack))
        except ObjectMissingError:
            return False
        return seen.size_bytes <= MAX_PACK_BYTES and await self._hashed(seen) == pack

    async def _hashed(self, seen: SeenObject) -> Digest:
        hashed = hashlib.sha256()
        for window in windows((), seen.size_bytes):
            content = await self._objects.read(seen, window.start, window.end - window.start)
            await asyncio.to_thread(hashed.update, content)
        return Digest(f"sha256:{hashed.hexdigest()}")

    async def _linked(self, pack: Digest) -> DamagedPack:
        key = pack_key(pack)
        try:
            await self._objects.look(key)
        except ObjectMissingError:
            return DamagedPack(digest=pack)
        return DamagedPack(digest=pack, url=await self._objects.link(key))
