"""A model that is still arriving: every byte in it is one that the signed chunk manifest proves.

Chunks enter in the order of the file, each only with the SHA-256 that belongs there. So the bytes
themselves are the journal: after a kill -9 or a power cut what still proves right is kept, and the
rest is fetched again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

from edge_bridge.errors import WrongChunkError
from edge_bridge.files import Files, full_disk_named
from fleetward.contracts.ids import Digest
from fleetward.delivery.manifest import Chunk, ChunkManifest

_SYNC_EVERY_S = 1.0
"""A power cut loses no more than what came since: less than a range where ranges take longer."""


class PartialModel:
    """``path`` holds the chunks so far, from the file's first on. One thread at a time appends."""

    def __init__(self, path: Path, manifest: ChunkManifest, files: Files) -> None:
        self.path = path
        self.manifest = manifest
        self.kept_bytes = 0
        """Bytes from the start that are there and right; always a whole number of chunks."""
        self._files = files
        self._descriptor = -1
        self._next = 0
        self._synced_s = 0.0
        self._is_proved = False
        self._lock = threading.Lock()
        """A cancelled fetch's thread may still write: closing waits for it."""

    @property
    def size_bytes(self) -> int:
        """How long the model is."""
        return self.manifest.header.size_bytes

    def open(self) -> PartialModel:
        """Keep what proves right and cut the rest off. Blocks for a read of what is there."""
        with self._lock, self._named():
            self._descriptor = self._files.disk.open_to_write(self.path)
            try:
                if not self._is_proved:
                    self._prove()
                self._files.disk.truncate(self._descriptor, self.kept_bytes)
            except BaseException:
                self._let_go()
                raise
            self._is_proved = True
        return self

    def next_chunk(self) -> Chunk:
        """The chunk that is to be appended now."""
        return self.manifest.chunks[self._next]

    def append(self, content: bytes) -> None:
        """Add the next chunk; raises WrongChunkError when these are not its bytes, DiskFullError."""
        chunk = self.next_chunk()
        if hashlib.sha256(content).digest() != chunk.sha256:
            raise WrongChunkError(f"the chunk at {chunk.start} has other bytes than were signed.")
        with self._lock, self._named():
            self._files.write_all(self._descriptor, content, chunk.start)
            self._next += 1
            self.kept_bytes = chunk.start + chunk.length
            if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
                self._files.disk.sync(self._descriptor)
                self._synced_s = time.monotonic()

    def read(self, start: int, length: int) -> bytes:
        """Bytes that are kept already: a file may hold the same chunk twice."""
        with self._lock, self._named():
            return self._files.disk.read_at(self._descriptor, length, start)

    def digest(self) -> Digest:
        """``sha256:<hex>`` of everything that arrived, fsynced."""
        with self._lock, self._named():
            self._files.disk.sync(self._descriptor)
            return self._files.digest(self.path)

    def doubt(self) -> None:
        """Prove every chunk again the next time this is opened."""
        self._is_proved = False

    def forget(self) -> None:
        """Leave nothing behind."""
        self._files.remove(self.path)
        self.kept_bytes = self._next = 0
        self.doubt()

    def close(self) -> None:
        """Close the file and keep what is in it for the next attempt."""
        with self._lock, self._named():
            self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._files.disk.close(descriptor)

    def _prove(self) -> None:
        self.kept_bytes = self._next = 0
        for chunk in self.manifest.chunks:
            content = self._files.disk.read_at(self._descriptor, chunk.length, chunk.start)
            if hashlib.sha256(content).digest() != chunk.sha256:
                return
            self.kept_bytes = chunk.start + chunk.length
            self._next += 1

    def _named(self) -> AbstractContextManager[None]:
        return full_disk_named(f"{self.size_bytes} bytes of a model")
