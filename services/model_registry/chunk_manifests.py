"""Reads chunk manifests that this registry wrote, and remembers the ones it read last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeVar

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import StoredObject
from fleetward.delivery.manifest import ChunkManifest, decode_manifest, manifest_digest
from model_registry import verification
from model_registry.objects import ModelObjects

REMEMBERED = 8
"""A manifest of a 10 GB model is some 10 MB in memory."""
PACKS_REMEMBERED = 512

_T = TypeVar("_T")


class ChunkManifests:
    """The manifests in one bucket, by their digests; what is remembered can never be stale."""

    def __init__(self, objects: ModelObjects) -> None:
        self._objects = objects
        self._manifests: OrderedDict[Digest, ChunkManifest] = OrderedDict()
        self._packs: OrderedDict[Digest, tuple[Digest, ...]] = OrderedDict()

    async def read(self, stored: StoredObject) -> ChunkManifest:
        """The manifest; raises ObjectMissingError, DigestMismatchError, ObjectStoreError."""
        known = self._manifests.get(stored.digest)
        if known is not None:
            self._manifests.move_to_end(stored.digest)
            return known
        content = await self._objects.read(await self._objects.look(stored.key))
        verification.refuse_other(stored, manifest_digest(content))
        manifest = await asyncio.to_thread(decode_manifest, content)
        _remember(self._manifests, stored.digest, manifest, REMEMBERED)
        _remember(self._packs, stored.digest, manifest.packs(), PACKS_REMEMBERED)
        return manifest

    async def packs(self, stored: StoredObject) -> tuple[Digest, ...]:
        """Every pack that the manifest names; raises what ``read`` raises."""
        known = self._packs.get(stored.digest)
        return known if known is not None else (await self.read(stored)).packs()


def _remember(held: OrderedDict[Digest, _T], digest: Digest, value: _T, limit: int) -> None:
    held[digest] = value
    while len(held) > limit:
        held.popitem(last=False)
