"""Frames cross to the workers through one block of shared memory that leaves nothing behind.

The block is an anonymous memfd: it has no name to leak and no resource tracker to fight, and the
kernel frees it when the last process that maps it is gone, kill -9 included. Workers get a
read-only descriptor, and seals keep the block from being resized under a reader.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress

from edge_bridge.errors import FrameRefusedError
from edge_bridge.frames import Frame, FrameType


class FrameRing:
    """The bridge's side: claim a place, write a frame into it, release it when the frame ended."""

    def __init__(self, places: int, place_bytes: int) -> None:
        self.place_bytes = place_bytes
        self.size_bytes = places * place_bytes
        self._free = list(range(places))
        self._holders = [0] * places
        self._writable = os.memfd_create("fleetward-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._writable, self.size_bytes)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self._writable, fcntl.F_ADD_SEALS, seals)
        self.read_only = os.open(f"/proc/self/fd/{self._writable}", os.O_RDONLY | os.O_CLOEXEC)
        """The descriptor workers inherit."""
        self._memory = mmap.mmap(self._writable, self.size_bytes)

    @property
    def held(self) -> int:
        """Places that hold an open frame."""
        return len(self._holders) - len(self._free)

    def claim(self) -> int | None:
        """The offset in bytes of a free place, or None when every place holds an open frame."""
        if not self._free:
            return None
        place = self._free.pop()
        self._holders[place] = 1
        return place * self.place_bytes

    def retain(self, offset: int) -> None:
        """Somebody else reads a claimed place too, and releases it once more."""
        self._holders[offset // self.place_bytes] += 1

    def release(self, offset: int) -> None:
        """Be done with a place; it is free when nobody holds it."""
        place = offset // self.place_bytes
        self._holders[place] -= 1
        if not self._holders[place]:
            self._free.append(place)

    def write(self, offset: int, frame: Frame) -> None:
        """Copy a frame into its place; raises FrameRefusedError."""
        content = memoryview(frame.content)
        self._check(content.nbytes, frame)
        self._memory[offset : offset + content.nbytes] = content.cast("B")

    def place(self, offset: int, shape: tuple[int, ...], dtype: FrameType) -> memoryview:
        """The bytes of a claimed place, to write a frame into; raises FrameRefusedError."""
        frame = Frame(b"", shape, dtype)
        self._check(frame.size_bytes, frame)
        return memoryview(self._memory)[offset : offset + frame.size_bytes]

    def close(self) -> None:
        """Give the memory back, as soon as no worker maps it either, and nobody holds a view of it."""
        with suppress(BufferError):
            self._memory.close()
        os.close(self._writable)
        os.close(self.read_only)

    def _check(self, size_bytes: int, frame: Frame) -> None:
        if size_bytes != frame.size_bytes or size_bytes > self.place_bytes:
            raise FrameRefusedError(
                f"a frame of {size_bytes} bytes, shape {frame.shape} and type {frame.dtype} "
                f"was refused: shape and size must agree, and the limit is {self.place_bytes} "
                "bytes. Resize it at its source, or raise frame_limit_bytes."
            )
