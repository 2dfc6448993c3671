"""Reads a published file anywhere, out of the packs that hold it, for a thread that computes."""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator

from fleetward.contracts.ids import Digest
from fleetward.delivery.manifest import Chunk, ChunkManifest, PackPlace
from model_registry.errors import DigestMismatchError, PreparationStoppedError
from model_registry.keys import pack_key
from model_registry.objects import ModelObjects, SeenObject

WINDOW_BYTES = 4 * 1024**2
"""What is fetched at once: chunks that follow one another both in the file and in a pack."""
WINDOWS_KEPT = 4


class PackReader:
    """One file's bytes. Made on the event loop, called from one other thread."""

    def __init__(
        self, objects: ModelObjects, manifest: ChunkManifest, is_stopped: Callable[[], bool]
    ) -> None:
        self._objects = objects
        self._is_stopped = is_stopped
        self._loop = asyncio.get_running_loop()
        self._places = list(manifest.places())
        self._starts = [chunk.start for chunk, _ in self._places]
        self._seen: dict[Digest, SeenObject] = {}
        self._windows: OrderedDict[int, tuple[int, bytes]] = OrderedDict()

    def read(self, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``, of chunks that have their digests.

        Raises DigestMismatchError, ObjectStoreError, PreparationStoppedError.
        """
        parts = []
        while length > 0:
            first, content = self._window(start)
            part = content[start - first : start - first + length]
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _window(self, start: int) -> tuple[int, bytes]:
        """The window that holds the byte at ``start``: where it begins, and its bytes."""
        index = bisect_right(self._starts, start) - 1
        for first, (begins, content) in self._windows.items():
            if begins <= start < begins + len(content):
                self._windows.move_to_end(first)
                return begins, content
        held = self._starts[index], self._fetched(index)
        self._windows[index] = held
        while len(self._windows) > WINDOWS_KEPT:
            self._windows.popitem(last=False)
        return held

    def _fetched(self, index: int) -> bytes:
        if self._is_stopped():
            raise PreparationStoppedError("the registry is being stopped.")
        chunks = list(self._run(index))
        place = self._places[index][1]
        length = sum(chunk.length for chunk in chunks)
        reading = self._read(place, length)
        content = asyncio.run_coroutine_threadsafe(reading, self._loop).result()
        _refuse_others(chunks, content)
        return content

    def _run(self, index: int) -> Iterator[Chunk]:
        """The chunks from ``index`` on that lie one after the other in one pack."""
        chunk, place = self._places[index]
        length = 0
        while length == 0 or length + chunk.length <= WINDOW_BYTES:
            yield chunk
            length += chunk.length
            index += 1
            if index == len(self._places):
                return
            chunk, follows = self._places[index]
            if follows != PackPlace(place.pack, place.offset + length):
                return

    async def _read(self, place: PackPlace, length: int) -> bytes:
        if place.pack not in self._seen:
            self._seen[place.pack] = await self._objects.look(pack_key(place.pack))
        return await self._objects.read(self._seen[place.pack], place.offset, length)


def _refuse_others(chunks: list[Chunk], content: bytes) -> None:
    start = 0
    for chunk in chunks:
        part = content[start : start + chunk.length]
        if hashlib.sha256(part).digest() != chunk.sha256:
            raise DigestMismatchError(
                f"A pack does not hold the chunk at {chunk.start} that its manifest names. "
                "Restore the bucket."
            )
        start += chunk.length
