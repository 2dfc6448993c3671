"""A registry's own disk on which the operation fails that a test names."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from model_registry.scratch import Scratch

NEVER = 2**60


class FailingScratch(Scratch):
    """Fails one operation with ``error_number``, and half-way through if that is a write."""

    error_number = errno.EIO

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.fail_at(NEVER)

    def fail_at(self, point: int) -> None:
        """Count anew from 0, and fail at ``point``."""
        self.operations = 0
        self._fails_at = point

    @contextmanager
    def folder(self) -> Iterator[Path]:
        with super().folder() as folder:
            self._count()
            yield folder
            self._count()

    def create(self, path: Path) -> BinaryIO:
        self._count()
        return super().create(path)

    def write_at(self, file: BinaryIO, content: memoryview, start: int) -> None:
        if self.operations == self._fails_at:
            super().write_at(file, content[: len(content) // 2], start)
        self._count()
        super().write_at(file, content, start)

    def read(self, file: BinaryIO, size_bytes: int) -> bytes:
        self._count()
        return super().read(file, size_bytes)

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self._fails_at + 1:
            raise OSError(self.error_number, os.strerror(self.error_number))
