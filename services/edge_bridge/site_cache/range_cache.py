"""Ranges of stored objects on a site's disk: the ones used last stay, and together they are bounded.

One file a range, named by the SHA-256 of its object and range, written whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path

from msgspec import Struct

from edge_bridge.fetching.ranges import Range


class CachedRange(Struct, frozen=True):
    """A range that lies in ``path``."""

    path: Path
    length: int


class RangeCache:
    """A directory of ranges, of at most ``limit_bytes``; what was there at the start is taken over."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._ranges: OrderedDict[str, int] = OrderedDict()
        for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            if path.suffix:
                path.unlink()
            else:
                self._count(path.name, path.stat().st_size)

    def find(self, object_path: str, wanted: Range) -> CachedRange | None:
        """The range, which counts as used now."""
        name = _name(object_path, wanted)
        if name not in self._ranges:
            return None
        self._ranges.move_to_end(name)
        return CachedRange(self._directory / name, self._ranges[name])

    def temporary(self, object_path: str, wanted: Range) -> Path:
        """Where to write a range before ``keep``."""
        return self._directory / f"{_name(object_path, wanted)}.partial"

    def keep(self, object_path: str, wanted: Range) -> CachedRange:
        """Take in what was written to ``temporary``; the ranges longest unused make room."""
        name = _name(object_path, wanted)
        written = self.temporary(object_path, wanted)
        written.replace(self._directory / name)
        self._count(name, wanted.length)
        while self._used_bytes > self._limit_bytes and len(self._ranges) > 1:
            oldest, length = self._ranges.popitem(last=False)
            self._used_bytes -= length
            (self._directory / oldest).unlink(missing_ok=True)
        return CachedRange(self._directory / name, wanted.length)

    def _count(self, name: str, length: int) -> None:
        self._used_bytes += length - self._ranges.get(name, 0)
        self._ranges[name] = length


def _name(object_path: str, wanted: Range) -> str:
    return hashlib.sha256(f"{object_path} {wanted.offset} {wanted.length}".encode()).hexdigest()
