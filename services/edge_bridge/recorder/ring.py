"""A ring of segment files, bounded in bytes and in seconds; a full disk makes it shorter.

A segment's name counts up, so the order needs no clock. All that are older than ``ring_s`` go, the
oldest first, unless they are wanted; the bound in bytes holds whatever is wanted.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from edge_bridge.recorder.file import Recorded, RecordingFile
from edge_bridge.recorder.limits import RecorderLimits

SUFFIX = ".mcap"


class SegmentRing:
    """The segments of ``directory``. One thread at a time; a bridge before this one left its own."""

    def __init__(
        self,
        directory: Path,
        limits: RecorderLimits,
        *,
        reserve_bytes: int,
        free_bytes: Callable[[], int] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``reserve_bytes`` stay free on the disk for others. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._limits = limits
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(directory).free)
        self._now_s = now_s
        self._sizes = {path: path.stat().st_size for path in sorted(directory.glob(f"*{SUFFIX}"))}
        self._ended_s = dict.fromkeys(self._sizes, now_s())
        self._open: _OpenSegment | None = None
        self._next = max((int(path.stem) for path in self._sizes), default=0) + 1
        self.wanted = False
        """Whether a recording is not cut yet: what is old then stays as long as there is room."""
        self.thinned = 0
        """Segments given up because the disk was full."""

    @property
    def size_bytes(self) -> int:
        """Of all segments."""
        return sum(self._sizes.values())

    def segments(self) -> list[Path]:
        """The oldest first; the last may still be written."""
        return list(self._sizes)

    def write(self, messages: Iterable[Recorded]) -> int:
        """Write messages and return how many are kept for sure; raises nothing, whatever the disk does."""
        written = 0
        try:
            self._make_room()
            for message in messages:
                self._segment().add(message)
                written += 1
                self._turn()
            self._flush()
        except OSError:
            self._give_up()
            return 0
        return written

    def close(self) -> None:
        """End the open segment."""
        if self._open is not None:
            segment, self._open = self._open, None
            with suppress(OSError):
                segment.close()
            self._note(segment)

    def _segment(self) -> _OpenSegment:
        if self._open is None:
            path = self._directory / f"{self._next:012d}{SUFFIX}"
            self._next += 1
            self._sizes[path] = 0
            self._open = _OpenSegment(path, self._now_s())
        return self._open

    def _turn(self) -> None:
        segment = self._open
        if segment is None:
            return
        old = self._now_s() - segment.began_s >= self._limits.segment_s
        if old or segment.size_bytes >= self._limits.segment_bytes:
            self._open = None
            self._note(segment)
            segment.close()
            self._note(segment)
            self._forget_old()

    def _flush(self) -> None:
        if self._open is not None:
            self._open.flush()
            self._note(self._open)
        self._forget_old()

    def _note(self, segment: _OpenSegment) -> None:
        if segment.path in self._sizes:
            self._sizes[segment.path] = segment.size_bytes
        self._ended_s[segment.path] = self._now_s()

    def _forget_old(self) -> None:
        before_s = self._now_s() - self._limits.ring_s
        while (path := self._oldest()) is not None:
            old = not self.wanted and self._ended_s.get(path, before_s) < before_s
            if not old and self.size_bytes <= self._limits.ring_bytes:
                return
            self._forget(path)

    def _oldest(self) -> Path | None:
        """The oldest segment that is not being written."""
        writing = self._open.path if self._open else None
        return next((path for path in self._sizes if path != writing), None)

    def _forget(self, path: Path) -> None:
        del self._sizes[path]
        self._ended_s.pop(path, None)
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Give up segments until what must stay free is; raises OSError when that is not enough."""
        while self._free_bytes() < self._reserve_bytes:
            path = self._oldest()
            if path is None:
                raise OSError("no room beside what must stay free")
            self.thinned += 1
            self._forget(path)

    def _give_up(self) -> None:
        """The disk is full or fails: end the segment where it is, and half of the ring goes."""
        self.close()
        for path in self.segments()[: (len(self._sizes) + 1) // 2]:
            self.thinned += 1
            self._forget(path)


class _OpenSegment:
    """The segment that is being written."""

    def __init__(self, path: Path, began_s: float) -> None:
        self.path = path
        self.began_s = began_s
        self._file: IO[bytes] = path.open("wb")
        self._recording = RecordingFile(self._file, compressed=False)
        self.size_bytes = 0

    def add(self, message: Recorded) -> None:
        self._recording.write(message)
        self.size_bytes = self._file.tell()

    def flush(self) -> None:
        """To the kernel: what a kill of this process no longer takes."""
        self._file.flush()

    def close(self) -> None:
        """To the disk: what a power cut no longer takes."""
        try:
            self._recording.finish()
            self._file.flush()
            os.fdatasync(self._file.fileno())
        finally:
            self.size_bytes = max(self.size_bytes, self._file.tell())
            self._file.close()
