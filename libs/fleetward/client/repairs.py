"""Makes a published version whole again from its file, when the store damaged or lost a pack."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from secrets import token_hex

from fleetward.bus.requests import ask
from fleetward.client.errors import DownloadError, FileRefusedError
from fleetward.client.fleet import Fleet
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.registry import UPLOADS_PREFIX, StoredObject
from fleetward.contracts.repairs import (
    CheckPacks,
    DamagedPack,
    PacksChecked,
    PacksRepaired,
    RepairPacks,
)
from fleetward.delivery.chunking import chunk_file
from fleetward.delivery.errors import LayoutError
from fleetward.delivery.manifest import (
    MAX_PACK_BYTES,
    ChunkManifest,
    decode_manifest,
    manifest_digest,
)

STALL_S = 60.0


async def check(fleet: Fleet, model: ModelRef) -> PacksChecked:
    """Have the registry read every pack of a version; raises RefusedError (its words)."""
    checked: PacksChecked = await ask(
        fleet.connection, CheckPacks(name=model.name, version=model.version)
    )
    return checked


async def repair(fleet: Fleet, model: ModelRef, path: Path) -> tuple[Digest, ...]:
    """Make each damaged pack of a version again from the version's file; which they were.

    Raises FileRefusedError when ``path`` is another file, or lacks what a pack holds besides;
    RefusedError, DownloadError, UploadError.
    """
    checked = await check(fleet, model)
    if not checked.damaged:
        return ()
    manifest = await _manifest(checked)
    await asyncio.to_thread(_refuse_other_file, manifest, model, path)
    upload_key = UPLOADS_PREFIX + token_hex(16)
    packs = []
    async with fleet.uploads() as uploads:
        for damaged in checked.damaged:
            content = await asyncio.to_thread(_whole, manifest, damaged, await _left(damaged), path)
            key = f"{upload_key}/{damaged.digest.removeprefix('sha256:')}"
            packs.append(await uploads.put(key, content, damaged.digest, sent=lambda more: None))
    return await _replaced(fleet, model, upload_key, tuple(packs))


async def _replaced(
    fleet: Fleet, model: ModelRef, upload_key: str, packs: tuple[StoredObject, ...]
) -> tuple[Digest, ...]:
    request = RepairPacks(
        name=model.name, version=model.version, upload_key=upload_key, packs=packs
    )
    done: PacksRepaired = await ask(fleet.connection, request)
    return done.packs


def _whole(manifest: ChunkManifest, damaged: DamagedPack, left: bytes, path: Path) -> bytes:
    """The pack: the version's chunks from the file, and what else is in it from what is left."""
    content = bytearray(left)
    with path.open("rb") as file:
        for chunk, place in manifest.places():
            if place.pack == damaged.digest:
                end = place.offset + chunk.length
                content.extend(bytes(max(0, end - len(content))))
                file.seek(chunk.start)
                content[place.offset : end] = file.read(chunk.length)
    for length in (len(content), _end_in(manifest, damaged.digest)):
        if hashlib.sha256(memoryview(content)[:length]).hexdigest() == damaged.digest[7:]:
            return bytes(content[:length])
    raise FileRefusedError(
        f"The pack {damaged.digest} also holds chunks of other versions, which are damaged too and "
        f"not in {path}. Repair the version that was published with this pack, from its own file."
    )


def _end_in(manifest: ChunkManifest, pack: Digest) -> int:
    """Where the last chunk of a file ends in ``pack``."""
    ends = (place.offset + chunk.length for chunk, place in manifest.places() if place.pack == pack)
    return max(ends, default=0)


def _refuse_other_file(manifest: ChunkManifest, model: ModelRef, path: Path) -> None:
    try:
        found = chunk_file(path).digest
    except OSError as error:
        raise FileRefusedError(f"{path} cannot be read: {error.strerror}.") from error
    except LayoutError as error:
        raise FileRefusedError(f"{path} is no sound model: {error}") from error
    if found != manifest.header.digest:
        raise FileRefusedError(
            f"{path} is {found}, and {model} is {manifest.header.digest}. Name the file that was "
            "published as this version."
        )


async def _manifest(checked: PacksChecked) -> ChunkManifest:
    stored = checked.chunks.stored
    content = await _got(checked.chunks.url, stored.size_bytes)
    if manifest_digest(content) != stored.digest:
        raise DownloadError(f"the chunk manifest is not {stored.digest}. Try again.")
    return await asyncio.to_thread(decode_manifest, content)


async def _left(damaged: DamagedPack) -> bytes:
    return await _got(damaged.url, MAX_PACK_BYTES) if damaged.url else b""


async def _got(url: str, limit_bytes: int) -> bytes:
    """At most so much of what lies there."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_read=STALL_S, sock_connect=STALL_S)
    content = bytearray()
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(url) as answer,
        ):
            answer.raise_for_status()
            async for part in answer.content.iter_chunked(1024 * 1024):
                content += part[: limit_bytes - len(content)]
    except (aiohttp.ClientError, asyncio.TimeoutError) as error:
        raise DownloadError(
            f"the store did not give what is left ({error!r}). Try again."
        ) from error
    return bytes(content)
