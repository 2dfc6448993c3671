"""Counts what a robot shall record, in a file that a ``kill -9`` leaves as it was.

The count lies in memory that the kernel keeps for the file, so counting costs no write and a dead process
loses none. A power cut may lose what was counted since ``sync``; ``at_least`` then goes by what was sealed.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path

_COUNT = struct.Struct("<Q")


class MessageNumbers:
    """Numbers from 0 up, over all bridges of the robot's life; from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Written, not stretched: a hole would need room when the disk has none, and kill us for it.
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes < _COUNT.size:
                os.pwrite(descriptor, bytes(_COUNT.size - size_bytes), size_bytes)
            self._memory = mmap.mmap(descriptor, _COUNT.size)
        finally:
            os.close(descriptor)
        self._lock = threading.Lock()

    @property
    def next(self) -> int:
        """What the next message will be."""
        return int(_COUNT.unpack_from(self._memory)[0])

    def take(self) -> int:
        """The number of a message, which nobody else has."""
        with self._lock:
            number = self.next
            _COUNT.pack_into(self._memory, 0, number + 1)
            return number

    def give_back(self) -> None:
        """One number fewer: what had one was nothing to record."""
        with self._lock:
            _COUNT.pack_into(self._memory, 0, max(0, self.next - 1))

    def at_least(self, number: int) -> None:
        """Go on from ``number``, unless the count is past it."""
        with self._lock:
            _COUNT.pack_into(self._memory, 0, max(number, self.next))

    def sync(self) -> None:
        """Make the count survive a power cut; raises OSError."""
        self._memory.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
