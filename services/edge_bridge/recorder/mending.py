"""Gives a segment that was cut off its end: whole chunks stay, and what came after the last of them goes.

A segment that has its end already gets the same one again.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import IO

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.records import Channel, Schema
from mcap.writer import MCAP0_MAGIC
from msgspec import Struct

from edge_bridge.recorder.chunks import CHUNK, ZSTD, messages_of, placed, read_chunk_head
from edge_bridge.recorder.file import RECORD_LIMIT_BYTES
from edge_bridge.recorder.segment_index import SegmentIndex

_HEADER, _SCHEMA, _CHANNEL = 0x01, 0x03, 0x04
_METADATA = b"\x0c"
_RECORD = struct.Struct("<BQ")
_NAMES_BYTES = 256
"""From a chunk's beginning to beyond its own fields."""
_DAMAGE = (McapError, struct.error, UnicodeDecodeError, ValueError, zstandard.ZstdError)


class Found(Struct, frozen=True):
    """What is whole in a file, and where it ends."""

    index: SegmentIndex
    end: int
    is_ended: bool = False
    """Whether an MCAP file's own end follows."""


def mend(path: Path, metadata: Mapping[str, str]) -> SegmentIndex:
    """Cut the file behind its last whole chunk, and end it; raises OSError."""
    with path.open("r+b") as file:
        found = scan(file)
        file.seek(found.end)
        file.truncate()
        file.write(found.index.tail(metadata, found.end))
    return found.index


def scan(file: IO[bytes]) -> Found:
    """Look for what is whole, from the beginning; raises OSError."""
    index = SegmentIndex()
    file.seek(0)
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        return Found(index, 0)
    end = len(MCAP0_MAGIC)
    while True:
        try:
            after = _next(file, end, index)
        except _DAMAGE:
            return Found(index, end)
        if after is None:
            return Found(index, end, _is_ended(file, end))
        end = after


def _is_ended(file: IO[bytes], end: int) -> bool:
    file.seek(end)
    if file.read(1) != _METADATA:
        return False
    file.seek(-len(MCAP0_MAGIC), SEEK_END)
    return file.read() == MCAP0_MAGIC


def _next(file: IO[bytes], at: int, index: SegmentIndex) -> int | None:
    """Where the record that begins at ``at`` ends, once it is in ``index``; None: the whole part ends here."""
    file.seek(at)
    begin = file.read(_RECORD.size)
    opcode, length = _record_of(begin)
    if length > RECORD_LIMIT_BYTES + _NAMES_BYTES:
        raise ValueError("no record is so long")
    if opcode == CHUNK:
        return _chunk(file, at, _RECORD.size + length, index)
    if opcode not in (_HEADER, _SCHEMA, _CHANNEL):
        return None
    content = file.read(length)
    if len(content) < length:
        return None
    if opcode == _SCHEMA:
        schema = Schema.read(ReadDataStream(BytesIO(content)))
        index.schemas[schema.id] = schema
    if opcode == _CHANNEL:
        channel = Channel.read(ReadDataStream(BytesIO(content)))
        index.channels[channel.id] = channel
    return at + _RECORD.size + length


def _record_of(begin: bytes) -> tuple[int, int]:
    opcode, length = _RECORD.unpack(begin)
    return int(opcode), int(length)


def _chunk(file: IO[bytes], at: int, length: int, index: SegmentIndex) -> int | None:
    file.seek(at)
    record = file.read(length)
    if len(record) < length:
        return None
    chunk = read_chunk_head(record[:_NAMES_BYTES])
    stored = record[chunk.head_bytes :]
    if len(stored) != chunk.stored_bytes:
        raise ValueError("the chunk is not as long as it says")
    messages = messages_of(_plain(stored, chunk.compression, chunk.plain_bytes), chunk.crc)
    if any(message.channel_id not in index.channels for message in messages):
        raise ValueError("a message is of a channel that was never declared")
    found, indexes = placed(
        at,
        record[: chunk.head_bytes],
        chunk.stored_bytes,
        chunk.compression,
        chunk.plain_bytes,
        messages,
    )
    if file.read(len(indexes)) != indexes:
        return None  # cut off in its index: it was the last
    index.add(found)
    return at + length + len(indexes)


def _plain(stored: bytes, compression: str, plain_bytes: int) -> bytes:
    if compression != ZSTD:
        return stored
    if plain_bytes > RECORD_LIMIT_BYTES:
        raise ValueError("no chunk is so large")
    return zstandard.ZstdDecompressor().decompress(stored, max_output_size=plain_bytes)
