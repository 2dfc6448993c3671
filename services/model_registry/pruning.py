"""Removes what nothing needs any more, now and then or when asked; dying midway loses nothing.

Versions leave their records first, by compare-and-set. Objects go only when no record named them
for the whole grace period, and each is looked at once more right before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from nats.aio.client import Client

from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_values
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.curation import ModelCuration
from fleetward.contracts.ids import Digest, ModelName
from fleetward.contracts.judgements import ModelsPruned, PruneModels
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.contracts.robots import RobotCheckedIn, RobotTarget, SignedTarget
from model_registry.chunk_manifests import ChunkManifests
from model_registry.errors import RegistryError
from model_registry.keys import (
    ADAPTER_PREFIX,
    DELTA_PREFIX,
    MANIFEST_PREFIX,
    PACK_PREFIX,
    pack_key,
)
from model_registry.objects import ModelObjects
from model_registry.publication import RecordStep
from model_registry.records import Records
from model_registry.retention import (
    RetentionPolicy,
    StoredEntry,
    needed_digests,
    removable,
    retirable,
    retire,
    unnamed,
    with_retired,
)

_logger = logging.getLogger(__name__)

PREFIXES = (PACK_PREFIX, MANIFEST_PREFIX, DELTA_PREFIX, ADAPTER_PREFIX)
"""Everything else in the bucket is left alone."""
OBJECTS_PER_LOOK = 50
"""So many objects go at most between two readings of what the records name."""
FIRST_S = 60.0
"""A registry that has just begun has better things to do."""
PERIOD_S = 3600.0


class Pruner:
    """Keeps one registry's bucket and records within the policy. One prune at a time."""

    def __init__(
        self,
        *,
        connection: Client,
        records: Records,
        objects: ModelObjects,
        policy: RetentionPolicy,
        memory: Path,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._records = records
        self._objects = objects
        self._manifests = ChunkManifests(objects)
        self._policy = policy
        self._memory = memory
        self._now = now
        self._turn = asyncio.Lock()

    async def keep(self, period_s: float = PERIOD_S) -> None:
        """Prune for ever; what fails is tried again at the next turn."""
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                await self.prune(PruneModels())
            except (RegistryError, BusError, UnreadableMessageError) as problem:
                log(_logger, "prune.failed", level=logging.WARNING, reason=str(problem))
            await asyncio.sleep(period_s)

    async def prune(self, request: PruneModels) -> ModelsPruned:
        """Remove what may go, or only say what would; raises RegistryError, BusError."""
        async with self._turn:
            now = self._now()
            versions = await self._retire(now, dry_run=request.dry_run)
            garbage = await self._garbage(now, dry_run=request.dry_run)
            uploads = 0
            if not request.dry_run:
                garbage = await self._remove(garbage)
                uploads = await self._objects.remove_stale_uploads(now)
        pruned = ModelsPruned(
            versions=tuple(versions),
            objects=len(garbage),
            bytes=sum(entry.size_bytes for entry in garbage),
            uploads=uploads,
            dry_run=request.dry_run,
            pruned_at=now,
        )
        counted = {"objects": pruned.objects, "bytes": pruned.bytes, "uploads": pruned.uploads}
        log(_logger, "models.pruned", versions=pruned.versions, dry_run=pruned.dry_run, **counted)
        return pruned

    async def _retire(self, now: datetime, *, dry_run: bool) -> list[str]:
        if self._policy.keep_versions is None:
            return []
        gone: list[str] = []
        for record in await self._every_record():
            versions = retirable(record, self._policy, await self._needed(), now)
            if versions and not dry_run:
                await self._retire_from(record.name, now)
            gone += [str(version.manifest.model) for version in versions]
        return gone

    async def _retire_from(self, name: ModelName, now: datetime) -> None:
        needed = await self._needed()
        said = await last_values(self._connection, ModelCuration, name=name)
        curations = {value.event.release: value.event for value in said}

        def decide(record: ModelRecord) -> RecordStep:
            step = retire(record, self._policy, needed, now)
            return with_retired(record, step, curations, now)

        await self._records.change(name, decide)

    async def _garbage(self, now: datetime, *, dry_run: bool) -> Sequence[StoredEntry]:
        """Objects that no record names, for the whole grace period unless only asked."""
        listed = [entry for prefix in PREFIXES for entry in await self._objects.entries(prefix)]
        found = unnamed(listed, await self._named(), self._policy, now)
        if dry_run:
            return found
        before = _read(self._memory)
        since = {entry.key: before.get(entry.key, now) for entry in found}
        _write(self._memory, since)
        return removable(found, since, self._policy, now)

    async def _remove(self, garbage: Sequence[StoredEntry]) -> list[StoredEntry]:
        removed: list[StoredEntry] = []
        for start in range(0, len(garbage), OBJECTS_PER_LOOK):
            named = await self._named()
            for entry in garbage[start : start + OBJECTS_PER_LOOK]:
                if entry.key not in named:
                    await self._objects.remove(entry.key)
                    removed.append(entry)
        return removed

    async def _named(self) -> frozenset[str]:
        """Every key that a record names; raises when one manifest cannot be read."""
        named: set[str] = set()
        for record in await self._every_record():
            for version in record.versions:
                named |= await self._named_by(version)
        return frozenset(named)

    async def _named_by(self, version: ModelVersion) -> set[str]:
        manifest = version.manifest
        named = {offer.stored.key for offer in version.deltas}
        if version.merged is not None:
            named.add(version.merged.stored.key)
        if manifest.chunks is not None:
            packs = await self._manifests.packs(manifest.chunks)
            named |= {manifest.chunks.key, *map(pack_key, packs)}
        return named

    async def _every_record(self) -> list[ModelRecord]:
        return [value.event for value in await last_values(self._connection, ModelRecord)]

    async def _needed(self) -> frozenset[Digest]:
        signed = await last_values(self._connection, SignedTarget)
        targets = [decode(value.event.payload, RobotTarget) for value in signed]
        checked_in = await last_values(self._connection, RobotCheckedIn)
        return needed_digests(targets, (value.event for value in checked_in))


def _read(memory: Path) -> dict[str, datetime]:
    """Since when each object was unnamed; a file that is lost only makes us wait again."""
    try:
        return msgspec.json.decode(memory.read_bytes(), type=dict[str, datetime])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _write(memory: Path, since: dict[str, datetime]) -> None:
    partial = memory.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(since))
    partial.replace(memory)
