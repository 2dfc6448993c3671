"""Counts what a robot shall record, in a file that a ``kill -9`` leaves as it was.

The counts lie in memory that the kernel keeps for the file, so counting costs no write and a dead process
loses none. A power cut may lose what was counted since ``sync``; ``at_least`` then goes by what was sealed.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

_WORD_BYTES = 8
_NEXT, _COVERED = 0, 1
_WORDS = 2


class MessageNumbers:
    """Numbers from 0 up, over all bridges of the robot's life; from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted_bytes = _WORDS * _WORD_BYTES
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Written, not stretched: a hole would need room when the disk has none, and kill us for it.
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes < wanted_bytes:
                os.pwrite(descriptor, bytes(wanted_bytes - size_bytes), size_bytes)
            self._file = mmap.mmap(descriptor, wanted_bytes)
        finally:
            os.close(descriptor)
        # Words, not struct.pack_into, which writes zeros first: a kill may come in between.
        self._words = memoryview(self._file).cast("Q")
        self._lock = threading.Lock()

    @property
    def next(self) -> int:
        """What the next message will be."""
        return self._words[_NEXT]

    @property
    def covered(self) -> int:
        """The number that what was ever sealed reaches to."""
        return self._words[_COVERED]

    def take(self) -> int:
        """The number of a message, which nobody else has."""
        with self._lock:
            number = self._words[_NEXT]
            self._words[_NEXT] = number + 1
            return number

    def at_least(self, number: int) -> None:
        """Go on from ``number``, unless the count is past it."""
        with self._lock:
            self._words[_NEXT] = max(number, self._words[_NEXT])

    def cover(self, number: int) -> None:
        """What is sealed reaches to ``number``."""
        self._words[_COVERED] = max(number, self._words[_COVERED])

    def sync(self) -> None:
        """Make the counts survive a power cut; raises OSError."""
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._words.release()
        self._file.close()
