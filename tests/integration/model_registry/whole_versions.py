"""Whether a version that is visible is there to its last byte."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from fleetward.contracts.registry import ModelVersion
from fleetward.delivery.manifest import decode_manifest
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket


async def expect_whole(store: ObjectStore, *versions: ModelVersion) -> None:
    """The bytes of each can be made from what its record names, and are what it says."""
    async with bucket.opened(store) as contents_of:
        for version in versions:
            await expect_whole_in(contents_of, version)


async def expect_whole_in(
    contents_of: Callable[[str], Awaitable[bytes]], version: ModelVersion
) -> None:
    """The same, of a bucket that gives each object's bytes by its key."""
    manifest = version.manifest
    assert manifest.chunks is not None
    chunks = decode_manifest(await contents_of(manifest.chunks.key))
    packs = {
        pack: await contents_of(f"packs/sha256/{pack.removeprefix('sha256:')}")
        for pack in chunks.packs()
    }
    content = b"".join(
        packs[place.pack][place.offset : place.offset + chunk.length]
        for chunk, place in chunks.places()
    )
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == manifest.digest
