"""A file is either wholly there or not there at all, also after a power cut.

Everything the model store does to a disk goes through a ``Disk``, so that a test can put one in
its place that fails at any point.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_bridge.errors import DiskFailedError, DiskFullError
from fleetward.contracts.ids import Digest

_BLOCK_BYTES = 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def full_disk_named(what: str) -> Iterator[None]:
    """Turn what the disk refuses for ``what`` into a DiskFullError, or a DiskFailedError."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _FULL:
            raise DiskFailedError(
                f"the robot's disk failed for {what}: {problem}. Look at its health; the robot "
                "serves on and tries again."
            ) from problem
        raise DiskFullError(
            f"there is no room for {what}: {problem.strerror}. Free space on the robot's disk."
        ) from problem


class Disk:
    """The operations that may fail, one method each; they raise OSError as the kernel does."""

    def open_to_read(self, path: Path) -> int:
        """A descriptor of a file that is there; raises FileNotFoundError."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_to_write(self, path: Path) -> int:
        """A descriptor to read and write ``path``, which is made when it is not there."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the file's end."""
        return os.pread(descriptor, length, offset)

    def write_at(self, descriptor: int, content: memoryview, offset: int) -> int:
        """Write some of ``content``; return how much."""
        return os.pwrite(descriptor, content, offset)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut the file to ``size_bytes``."""
        os.ftruncate(descriptor, size_bytes)

    def sync(self, descriptor: int) -> None:
        """Make what was written survive a power cut."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close it."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put ``source`` in ``target``'s place at once."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine."""
        path.unlink(missing_ok=True)

    def sync_directory(self, directory: Path) -> None:
        """Make renames and deletions in ``directory`` survive a power cut."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Files:
    """Whole files on a disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def write_all(self, descriptor: int, content: bytes, offset: int) -> None:
        """Write all of ``content`` at ``offset``."""
        view = memoryview(content)
        while view:
            written = self.disk.write_at(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, path: Path) -> bytes | None:
        """A whole file, None when there is none; raises DiskFailedError."""
        if not path.exists():
            return None
        with (
            full_disk_named(path.name),
            self._closing(self.disk.open_to_read(path)) as descriptor,
        ):
            return b"".join(self._blocks(descriptor))

    def read_part(self, path: Path, offset: int, length: int) -> bytes:
        """Part of a file, shorter where the file ends; raises OSError."""
        with self._closing(self.disk.open_to_read(path)) as descriptor:
            return self.disk.read_at(descriptor, length, offset)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine. Raises DiskFailedError."""
        with full_disk_named(path.name):
            self.disk.unlink(path)

    def append(self, path: Path, line: str, *, durable: bool) -> None:
        """Add a line to a file of lines; ``durable``: survive a power cut. Raises DiskFullError."""
        with (
            full_disk_named(path.name),
            self._closing(self.disk.open_to_write(path)) as descriptor,
        ):
            self.write_all(descriptor, line.encode("ascii"), path.stat().st_size)
            if durable:
                self.disk.sync(descriptor)

    def write_whole(self, path: Path, content: bytes) -> None:
        """Write ``path`` through a temporary file, fsync and rename; raises DiskFullError."""
        temporary = path.with_name(f"{path.name}.partial")
        try:
            with full_disk_named(path.name):
                with self._closing(self.disk.open_to_write(temporary)) as descriptor:
                    self.disk.truncate(descriptor, 0)
                    self.write_all(descriptor, content, 0)
                    self.disk.sync(descriptor)
                self.move_whole(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def move_whole(self, source: Path, target: Path) -> None:
        """Rename an fsynced file into place and make the rename itself durable."""
        self.disk.rename(source, target)
        self.disk.sync_directory(target.parent)

    def digest(self, path: Path) -> Digest:
        """``sha256:<hex>`` of a file's bytes, read in blocks; raises FileNotFoundError."""
        hasher = hashlib.sha256()
        with self._closing(self.disk.open_to_read(path)) as descriptor:
            for block in self._blocks(descriptor):
                hasher.update(block)
        return Digest(f"sha256:{hasher.hexdigest()}")

    def _blocks(self, descriptor: int) -> Iterator[bytes]:
        offset = 0
        while block := self.disk.read_at(descriptor, _BLOCK_BYTES, offset):
            yield block
            offset += len(block)

    @contextmanager
    def _closing(self, descriptor: int) -> Iterator[int]:
        try:
            yield descriptor
        finally:
            self.disk.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """``Files.write_whole`` on the robot's own disk; raises DiskFullError or DiskFailedError."""
    Files(Disk()).write_whole(path, content)
