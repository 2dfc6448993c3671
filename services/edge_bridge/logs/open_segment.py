"""The segment that is written: a piece is in it wholly or not at all, as far as the kernel knows."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class OpenSegment:
    """The file that is written."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self.size_bytes = self.records = 0
        self.began_s = time.monotonic()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)

    def append(self, content: bytes, records: int) -> None:
        """All of ``content`` or nothing; raises OSError."""
        view, written = memoryview(content), 0
        try:
            while written < len(content):
                written += os.pwrite(self._descriptor, view[written:], self.size_bytes + written)
        except OSError:
            os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self.size_bytes += len(content)
        self.records += records

    def close(self) -> None:
        """To the disk: what a power cut no longer takes. Raises OSError."""
        try:
            os.fdatasync(self._descriptor)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def give_up(self) -> None:
        """Forget it and all that is in it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
