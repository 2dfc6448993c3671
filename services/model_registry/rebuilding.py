"""Makes a file again from packs, and believes none of it before it was hashed here."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from fleetward.contracts.ids import Digest
from fleetward.delivery.manifest import Chunk, ChunkManifest
from model_registry.errors import (
    DigestMismatchError,
    ObjectMissingError,
    PackMissingError,
    ScratchSpaceError,
)
from model_registry.keys import pack_key
from model_registry.objects import ModelObjects, SeenObject

READ_BYTES = 4 * 1024**2

Placed = tuple[Chunk, int]
"""A chunk, and where in its pack it begins."""


async def rebuild(
    objects: ModelObjects,
    manifest: ChunkManifest,
    uploaded: Mapping[Digest, SeenObject],
    path: Path,
) -> Digest:
    """Write the file that ``manifest`` describes to ``path``; return what its bytes are.

    Packs in ``uploaded`` are read whole and must have their digest; of the others, which stand,
    only what the file needs is read. Every chunk must have its digest. One pack is in memory at a
    time. Raises DigestMismatchError, PackMissingError, ScratchSpaceError, ObjectStoreError.
    """
    try:
        with path.open("w+b") as file:
            for pack, placed in _by_pack(manifest).items():
                content, first = await _content(objects, pack, placed, uploaded.get(pack))
                await asyncio.to_thread(_write, file, pack, content, first, placed)
                del content  # before the next one is read
            return await asyncio.to_thread(_digest_of, file)
    except OSError as error:
        raise ScratchSpaceError(
            f"{manifest.header.size_bytes} bytes of upload could not be kept in {path.parent}: "
            f"{error.strerror}. Free space there and push again."
        ) from error


def _by_pack(manifest: ChunkManifest) -> dict[Digest, list[Placed]]:
    packs: dict[Digest, list[Placed]] = {}
    for chunk, place in manifest.places():
        packs.setdefault(place.pack, []).append((chunk, place.offset))
    return packs


async def _content(
    objects: ModelObjects, pack: Digest, placed: Sequence[Placed], uploaded: SeenObject | None
) -> tuple[bytes, int]:
    """What is read of a pack, and where in the pack it begins."""
    if uploaded is not None:
        content = await objects.read(uploaded)
        found = await asyncio.to_thread(_named, content)
        if found != pack:
            raise DigestMismatchError(
                f"The pack uploaded as {pack} is {found}. Push the file again."
            )
        return content, 0
    first = min(offset for _, offset in placed)
    end = max(offset + chunk.length for chunk, offset in placed)
    try:
        stands = await objects.look(pack_key(pack))
    except ObjectMissingError as error:
        raise PackMissingError(
            f"The pack {pack} was neither uploaded nor does it stand. Push the file again."
        ) from error
    if stands.size_bytes < end:
        raise DigestMismatchError(
            f"The pack {pack} ends at {stands.size_bytes}, a chunk of it at {end}. "
            "Push the file again."
        )
    return await objects.read(stands, first, end - first), first


def _write(
    file: BinaryIO, pack: Digest, content: bytes, first: int, placed: Sequence[Placed]
) -> None:
    view = memoryview(content)
    for chunk, offset in placed:
        part = view[offset - first : offset - first + chunk.length]
        if hashlib.sha256(part).digest() != chunk.sha256:
            raise DigestMismatchError(
                f"The chunk at {chunk.start} is not what lies at {offset} of the pack {pack}. "
                "Push the file again."
            )
        file.seek(chunk.start)
        file.write(part)


def _digest_of(file: BinaryIO) -> Digest:
    file.seek(0)
    hashed = hashlib.sha256()
    while block := file.read(READ_BYTES):
        hashed.update(block)
    return Digest(f"sha256:{hashed.hexdigest()}")


def _named(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
