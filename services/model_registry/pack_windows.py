"""Decides in which stretches a pack is read, so that little of it is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from fleetward.delivery.manifest import Chunk

WINDOW_BYTES = 8 * 1024**2
"""Room for several of the longest chunks."""


class Placed(Struct, frozen=True):
    """A chunk, and where in its pack it begins."""

    chunk: Chunk
    offset: int

    @property
    def end(self) -> int:
        """Where in its pack it ends."""
        return self.offset + self.chunk.length


class Window(Struct, frozen=True):
    """A stretch of a pack, and the chunks that lie in it whole."""

    start: int
    end: int
    placed: tuple[Placed, ...]


def windows(placed: Sequence[Placed], whole_bytes: int | None = None) -> Iterator[Window]:
    """Stretches of at most WINDOW_BYTES with every chunk in one of them.

    ``whole_bytes``: how long the pack is, when all of it must be read; then the stretches leave no
    gap, and overlap only where one would cut a chunk. Otherwise only what the chunks need is read.
    No chunk may end after the pack does.
    """
    waiting = sorted(placed, key=lambda one: one.offset)
    first, read = 0, 0
    while first < len(waiting) or (whole_bytes is not None and read < whole_bytes):
        start = waiting[first].offset if first < len(waiting) else read
        if whole_bytes is not None:
            start = min(start, read)
        after = _fitting(waiting, first, start + WINDOW_BYTES)
        taken = tuple(waiting[first:after])
        end = max((one.end for one in taken), default=start)
        if whole_bytes is not None:
            end = min(max(end, start + WINDOW_BYTES), whole_bytes)
        yield Window(start, end, taken)
        first, read = after, max(read, end)


def _fitting(waiting: Sequence[Placed], first: int, limit: int) -> int:
    """The first chunk from ``first`` on that does not end before ``limit``."""
    while first < len(waiting) and waiting[first].end <= limit:
        first += 1
    return first
