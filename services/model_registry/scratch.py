"""The registry's own disk, where an upload lies while it is hashed and inspected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from model_registry.errors import ScratchSpaceError


class Scratch:
    """One directory, emptied at every start. A test gives one whose operations fail."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one upload, gone afterwards.

        Whatever fails of this disk in the block leaves it as ScratchSpaceError.
        """
        try:
            with TemporaryDirectory(dir=self._directory) as name:
                yield Path(name)
        except OSError as error:
            raise ScratchSpaceError(
                f"An upload could not be kept in {self._directory}: {error.strerror}. Free space "
                "there and push again."
            ) from error

    def create(self, path: Path) -> BinaryIO:
        """A new file, to be written and then read."""
        return path.open("w+b", buffering=0)

    def write_at(self, file: BinaryIO, content: memoryview, start: int) -> None:
        """Put all of ``content`` where it belongs."""
        file.seek(start)
        while content:
            content = content[file.write(content) :]

    def write(self, path: Path, content: bytes) -> None:
        """A whole new file."""
        with self.create(path) as file:
            self.write_at(file, memoryview(content), 0)

    def read(self, file: BinaryIO, size_bytes: int) -> bytes:
        """The next bytes of a file; none at its end."""
        return file.read(size_bytes)
