"""Cuts and hashes a file: its own digest and its chunks' side by side, in bounded memory.

Chunks that a layout names cost one pass. Only what has no tensors is read once more before, to be
cut by its content with FastCDC (https://ieeexplore.ieee.org/document/9055082); pyfastcdc is needed
where models are published, never on a robot.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.delivery.cuts import Stretch, fixed_lengths, stretches
from fleetward.delivery.errors import LayoutError
from fleetward.delivery.layout import Layout, layout_of
from fleetward.delivery.manifest import MAX_CHUNK_BYTES, Chunk

BLOCK_BYTES = 1024 * 1024
BLOCKS = 8
"""So many blocks are in memory: the two threads need not keep step."""
CONTENT_CHUNK_BYTES = 64 * 1024
"""What FastCDC aims at; a quarter of it is the smallest chunk, MAX_CHUNK_BYTES the largest."""

Progress = Callable[[int], None]
"""Called with the bytes hashed so far."""


class ChunkedFile(Struct, frozen=True):
    """What a file is: its layout, its digest, and its chunks in order and without a gap."""

    layout: Layout
    digest: Digest
    chunks: tuple[Chunk, ...]


def chunk_file(path: Path, progress: Progress = lambda hashed: None) -> ChunkedFile:
    """Cut and hash the file at ``path``; takes two threads and about 10 MiB of memory.

    Raises LayoutError when it contradicts its own format or changes meanwhile, OSError when it
    cannot be read.
    """
    layout = layout_of(path)
    with path.open("rb", buffering=0) as file:
        lengths = _lengths(file, layout)
        digest, chunks, hashed = _hashed(file, lengths, progress)
    if hashed != layout.size_bytes or len(chunks) != len(lengths):
        raise LayoutError(f"{path} changed while it was read. Write it whole, then try again.")
    return ChunkedFile(layout, digest, chunks)


def _lengths(file: BinaryIO, layout: Layout) -> list[int]:
    lengths: list[int] = []
    for stretch in stretches(layout):
        if stretch.by_content and stretch.length > CONTENT_CHUNK_BYTES:
            lengths.extend(_content_lengths(file, stretch))
        else:
            lengths.extend(fixed_lengths(stretch.length))
    return lengths


def _content_lengths(file: BinaryIO, stretch: Stretch) -> Iterator[int]:
    from pyfastcdc import FastCDC

    file.seek(stretch.start)
    cutter = FastCDC(CONTENT_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES)
    for chunk in cutter.cut_stream(_Part(file, stretch.length)):
        yield chunk.length


class _Part:
    """The next ``length`` bytes of a file, as a stream of their own."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def read(self, size: int) -> bytes:
        content = self._file.read(min(size, self._left))
        self._left -= len(content)
        return content


def _hashed(
    file: BinaryIO, lengths: list[int], progress: Progress
) -> tuple[Digest, tuple[Chunk, ...], int]:
    whole, chunks = hashlib.sha256(), _ChunkHashes(lengths)
    file.seek(0)
    waiting: deque[Future[None]] = deque()
    hashed = 0
    with ThreadPoolExecutor(1, thread_name_prefix="whole-digest") as other:
        for block in _blocks(file):
            waiting.append(other.submit(whole.update, block))
            chunks.update(block)
            hashed += len(block)
            progress(hashed)
            if len(waiting) == BLOCKS:
                waiting.popleft().result()
    return Digest(f"sha256:{whole.hexdigest()}"), chunks.finished(), hashed


def _blocks(file: BinaryIO) -> Iterator[memoryview]:
    """The file's blocks. One may be used until BLOCKS more were asked for."""
    buffers = [bytearray(BLOCK_BYTES) for _ in range(BLOCKS)]
    turn = 0
    while (count := file.readinto(buffers[turn])) > 0:  # type: ignore[attr-defined]  # unbuffered files have it
        yield memoryview(buffers[turn])[:count]
        turn = (turn + 1) % BLOCKS


class _ChunkHashes:
    """Hashes a stream of blocks by chunks of known lengths."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = iter(lengths)
        self._chunks: list[Chunk] = []
        self._hash = hashlib.sha256()
        self._start = 0
        self._length = next(self._lengths, 0)
        self._missing = self._length

    def update(self, block: memoryview) -> None:
        while len(block) and self._missing:
            part = block[: self._missing]
            self._hash.update(part)
            self._missing -= len(part)
            block = block[len(part) :]
            if not self._missing:
                self._next()

    def finished(self) -> tuple[Chunk, ...]:
        return tuple(self._chunks)

    def _next(self) -> None:
        self._chunks.append(Chunk(self._hash.digest(), self._start, self._length))
        self._start += self._length
        self._hash = hashlib.sha256()
        self._length = self._missing = next(self._lengths, 0)
