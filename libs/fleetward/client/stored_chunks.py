"""Learns which chunks of a model the registry has already, so that they are not sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import ChunksListed, ListChunks, ManifestLink
from fleetward.delivery.errors import ManifestError
from fleetward.delivery.manifest import ChunkManifest, decode_manifest, manifest_digest

if TYPE_CHECKING:
    import aiohttp

DOWNLOAD_TIMEOUT_S = 60.0


async def stored_manifests(connection: Client, name: ModelName) -> list[ChunkManifest]:
    """The chunk manifests of the newest versions of ``name``, newest first.

    One that cannot be had is left out: then its chunks are sent again, which is never wrong.
    Raises RefusedError, NoAnswerError.
    """
    listed: ChunksListed = await ask(connection, ListChunks(name=name))
    return [manifest async for manifest in _downloaded(listed.manifests)]


async def _downloaded(links: Sequence[ManifestLink]) -> AsyncIterator[ChunkManifest]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=DOWNLOAD_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for link in links:
            manifest = await _manifest(session, link)
            if manifest is not None:
                yield manifest


async def _manifest(session: aiohttp.ClientSession, link: ManifestLink) -> ChunkManifest | None:
    import aiohttp

    try:
        async with session.get(link.url) as answer:
            answer.raise_for_status()
            content = await answer.content.readexactly(link.stored.size_bytes)
    except (aiohttp.ClientError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return None
    if manifest_digest(content) != link.stored.digest:
        return None
    try:
        return await asyncio.to_thread(decode_manifest, content)
    except ManifestError:
        return None
