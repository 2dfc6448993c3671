"""Files that other programs write, followed through renaming, truncation and restarts of ours.

A file is known by its device, its inode and its first bytes, not by its name: one that was renamed is read
to its end under its new name, and one that begins otherwise than it did is read from its start.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from pathlib import Path

from msgspec import Struct

from edge_bridge.logs.assembling import LineStream
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.parsing import UNIT_CHARACTERS
from fleetward.logs.record import Resource

HEAD_BYTES = 256
Identity = tuple[int, int]
"""Device and inode."""


class Position(Struct, frozen=True, array_like=True):
    """How far a file was read: ``offset`` bytes of it are in records; ``head``: CRC-32 of its first bytes."""

    path: str
    device: int
    inode: int
    offset: int
    head_bytes: int
    head: int

    @property
    def identity(self) -> Identity:
        """Which file it is."""
        return self.device, self.inode


class FollowedFile:
    """One open file."""

    def __init__(self, path: Path, descriptor: int, limits: LogSettings) -> None:
        self.path = path
        self.stream = LineStream(limits)
        self.unit = Resource(
            service_name=(path.name.split(".")[0] or path.name)[:UNIT_CHARACTERS], file=str(path)
        )
        self.offset = 0
        self.read_at_s = 0.0
        self._limits = limits
        self._descriptor = descriptor
        self._head = b""
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    @property
    def position(self) -> Position:
        """What is to be read again after a restart lies behind it."""
        device, inode = self.identity
        return Position(
            str(self.path),
            device,
            inode,
            max(0, self.offset - self.stream.held_bytes),
            len(self._head),
            zlib.crc32(self._head),
        )

    def go_on(self, position: Position) -> None:
        """From where somebody stopped, if it is still that file."""
        head = os.pread(self._descriptor, position.head_bytes, 0)
        same = len(head) == position.head_bytes and zlib.crc32(head) == position.head
        if same and position.offset <= self._size():
            self.offset, self._head = position.offset, head

    def skip_to_end(self, backlog_bytes: int) -> None:
        """All but the last lines are left out."""
        size_bytes = self._size()
        if size_bytes > backlog_bytes:
            start = size_bytes - backlog_bytes
            end_of_line = os.pread(self._descriptor, backlog_bytes, start).find(b"\n")
            self.offset = start + end_of_line + 1 if end_of_line >= 0 else size_bytes
        self._head = os.pread(self._descriptor, HEAD_BYTES, 0)

    def read(self, now_s: float) -> tuple[bytes, bool]:
        """What is new, up to a bound, and whether the file begins anew with it. Raises OSError."""
        size_bytes, anew = self._size(), False
        if size_bytes == self.offset:
            return b"", False
        if size_bytes < self.offset or self._was_rewritten():
            self.offset, self._head, anew = 0, b"", True
        content = os.pread(self._descriptor, self._limits.read_bytes, self.offset)
        if len(self._head) < HEAD_BYTES and content:
            self._head = os.pread(self._descriptor, HEAD_BYTES, 0)
        self.offset += len(content)
        self.read_at_s = now_s
        return content, anew

    def _was_rewritten(self) -> bool:
        """Truncated, and longer again than it was when we last looked."""
        return os.pread(self._descriptor, len(self._head), 0) != self._head

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size


def opened(path: Path, limits: LogSettings) -> FollowedFile | None:
    """None for what is no plain file; raises OSError.

    A link leads only to what everybody may read: whoever may write into a directory that is followed could
    plant one to the robot's keys.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            return None
        if not mode & stat.S_IROTH and path.absolute() != path.resolve():
            raise PermissionError(
                errno.EACCES, "a link leads to a file that not everybody may read"
            )
        return FollowedFile(path, descriptor, limits)
    except OSError:
        os.close(descriptor)
        raise
