"""A file is either wholly there or not there at all, also after a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_bridge.errors import DiskFailedError, DiskFullError

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


def write_whole(path: Path, content: bytes) -> None:
    """Write ``path`` through a temporary file, fsync and rename; raises DiskFullError."""
    temporary = path.with_name(f"{path.name}.partial")
    try:
        with full_disk_named(path.name), temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    move_whole(temporary, path)


def move_whole(source: Path, target: Path) -> None:
    """Rename an fsynced file into place and make the rename itself durable."""
    source.replace(target)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Make renames and deletions in ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of_file(path: Path) -> str:
    """``sha256:<hex>`` of a file's bytes, read in blocks."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            hasher.update(block)
    return f"sha256:{hasher.hexdigest()}"
