"""A model that is still arriving, and the notes that let it go on after a kill -9 or a power cut.

Each range is fsynced before its line is noted: ``<offset> <length> <sha256>``. A range without a
line is fetched again; a line whose bytes changed on disk ends what is believed.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from types import TracebackType

from edge_bridge.files import digest_of_file, full_disk_named


class PartialModel:
    """``path`` holds the bytes so far, in order from 0; ``path``.ranges holds the notes."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.durable_bytes = 0
        """Bytes from the start that are on disk for certain."""
        self._notes = path.with_name(f"{path.name}.ranges")
        self._descriptor = -1
        self._lock = threading.Lock()
        """A cancelled transfer's thread may still write: closing waits for it."""

    def open(self) -> PartialModel:
        """Believe what the notes prove and cut the rest off. Blocks for a read of what is there."""
        with full_disk_named(f"{self.size_bytes} bytes of a model"):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            proved = self._proved_notes()
            self.durable_bytes = sum(length for length, _ in proved)
            os.ftruncate(self._descriptor, self.durable_bytes)
            self._notes.write_text("".join(line for _, line in proved), encoding="ascii")
        return self

    def write(self, offset: int, content: bytes) -> None:
        """Write bytes of the range in progress; raises DiskFullError and never passes size_bytes."""
        assert offset + len(content) <= self.size_bytes, "the transfer checks the cap"
        with self._lock, full_disk_named(f"{self.size_bytes} bytes of a model"):
            view = memoryview(content)
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written

    def note(self, length: int, digest_hex: str) -> None:
        """The next ``length`` bytes are all written: make them durable, then say so."""
        with self._lock, full_disk_named(f"{self.size_bytes} bytes of a model"):
            os.fdatasync(self._descriptor)
            with self._notes.open("a", encoding="ascii") as notes:
                notes.write(_line(self.durable_bytes, length, digest_hex))
                notes.flush()
                os.fdatasync(notes.fileno())
        self.durable_bytes += length

    def digest(self) -> str:
        """``sha256:<hex>`` of everything that arrived, fsynced."""
        os.fsync(self._descriptor)
        return digest_of_file(self.path)

    def forget(self) -> None:
        """Leave nothing behind."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
        self.durable_bytes = 0

    def close(self) -> None:
        """Close the file and keep what is in it for the next attempt."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> PartialModel:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _proved_notes(self) -> list[tuple[int, str]]:
        """(length, line) of each noted range, up to the first that is torn or not what it says."""
        proved: list[tuple[int, str]] = []
        expected_offset = 0
        for line in self._lines():
            words = line.split()
            if len(words) != 3 or not line.endswith("\n"):
                break
            offset, length = int(words[0]), int(words[1])
            content = os.pread(self._descriptor, length, offset)
            if offset != expected_offset or _hex_of(content) != words[2]:
                break
            proved.append((length, line))
            expected_offset += length
        return proved

    def _lines(self) -> list[str]:
        if not self._notes.exists():
            return []
        return self._notes.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)


def _line(offset: int, length: int, digest_hex: str) -> str:
    return f"{offset} {length} {digest_hex}\n"


def _hex_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
