"""Makes a file again from packs, and believes none of it before it was hashed here."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from fleetward.contracts.ids import Digest
from fleetward.delivery.manifest import ChunkManifest
from model_registry.errors import DigestMismatchError, ObjectMissingError, PackMissingError
from model_registry.keys import pack_key
from model_registry.objects import ModelObjects, SeenObject
from model_registry.pack_windows import Placed, Window, windows
from model_registry.scratch import Scratch

READ_BYTES = 4 * 1024**2


async def rebuild(
    objects: ModelObjects,
    manifest: ChunkManifest,
    uploaded: Mapping[Digest, SeenObject],
    path: Path,
    scratch: Scratch,
) -> Digest:
    """Write the file that ``manifest`` describes to ``path``; return what its bytes are.

    Packs in ``uploaded`` are read whole and must have their digest; of the others, which stand,
    only what the file needs is read. Every chunk must have its digest. A few MiB are in memory at a
    time. Raises DigestMismatchError, PackMissingError, ObjectStoreError, OSError.
    """
    rebuilding = _Rebuilding(objects, scratch)
    with scratch.create(path) as file:
        for pack, placed in _by_pack(manifest).items():
            seen = uploaded.get(pack)
            if seen is not None:
                await rebuilding.from_upload(file, pack, placed, seen)
            else:
                await rebuilding.from_standing(file, pack, placed)
        return await asyncio.to_thread(rebuilding.digest_of, file)


class _Rebuilding:
    def __init__(self, objects: ModelObjects, scratch: Scratch) -> None:
        self._objects = objects
        self._scratch = scratch

    async def from_upload(
        self, file: BinaryIO, pack: Digest, placed: Sequence[Placed], seen: SeenObject
    ) -> None:
        """Every byte of the pack is hashed, also what the file does not need."""
        _refuse_shorter(pack, placed, seen)
        hashed, hashed_bytes = hashlib.sha256(), 0
        for window in windows(placed, seen.size_bytes):
            content = memoryview(await self._read(seen, window))
            new = content[hashed_bytes - window.start :]
            await asyncio.to_thread(hashed.update, new)
            hashed_bytes += len(new)
            await asyncio.to_thread(self._write, file, pack, content, window)
        found = Digest(f"sha256:{hashed.hexdigest()}")
        if found != pack:
            raise DigestMismatchError(
                f"The pack uploaded as {pack} is {found}. Push the file again."
            )

    async def from_standing(self, file: BinaryIO, pack: Digest, placed: Sequence[Placed]) -> None:
        """Only what the file needs of a pack that an earlier version brought."""
        seen = await self._standing(pack)
        _refuse_shorter(pack, placed, seen)
        for window in windows(placed):
            content = memoryview(await self._read(seen, window))
            await asyncio.to_thread(self._write, file, pack, content, window)

    async def _standing(self, pack: Digest) -> SeenObject:
        try:
            return await self._objects.look(pack_key(pack))
        except ObjectMissingError as error:
            raise PackMissingError(
                f"The pack {pack} was neither uploaded nor does it stand. Push the file again."
            ) from error

    async def _read(self, seen: SeenObject, window: Window) -> bytes:
        return await self._objects.read(seen, window.start, window.end - window.start)

    def _write(self, file: BinaryIO, pack: Digest, content: memoryview, window: Window) -> None:
        for one in window.placed:
            part = content[one.offset - window.start : one.end - window.start]
            if hashlib.sha256(part).digest() != one.chunk.sha256:
                raise DigestMismatchError(
                    f"The chunk at {one.chunk.start} is not what lies at {one.offset} of the pack "
                    f"{pack}. Push the file again."
                )
            self._scratch.write_at(file, part, one.chunk.start)

    def digest_of(self, file: BinaryIO) -> Digest:
        """What was written, as the disk gives it back."""
        file.seek(0)
        hashed = hashlib.sha256()
        while block := self._scratch.read(file, READ_BYTES):
            hashed.update(block)
        return Digest(f"sha256:{hashed.hexdigest()}")


def _refuse_shorter(pack: Digest, placed: Sequence[Placed], seen: SeenObject) -> None:
    end = max(one.end for one in placed)
    if seen.size_bytes < end:
        raise DigestMismatchError(
            f"The pack {pack} ends at {seen.size_bytes}, a chunk of it at {end}. "
            "Push the file again."
        )


def _by_pack(manifest: ChunkManifest) -> dict[Digest, list[Placed]]:
    packs: dict[Digest, list[Placed]] = {}
    for chunk, place in manifest.places():
        packs.setdefault(place.pack, []).append(Placed(chunk, place.offset))
    return packs
