"""Chunks of an MCAP file as bytes, and what they hold. Pure (https://mcap.dev/spec).

A large message is a chunk of its own, not compressed and never copied: pictures and point clouds gain little
and cost much. Small ones share a chunk, which is compressed.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

CHUNK, MESSAGE, MESSAGE_INDEX = 0x06, 0x05, 0x07
ZSTD = "zstd"
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")
_LENGTH4, _LENGTH8 = struct.Struct("<I"), struct.Struct("<Q")
_INDEX, _ENTRY = struct.Struct("<HI"), struct.Struct("<QQ")
MESSAGE_HEAD_BYTES = _RECORD.size + _MESSAGE.size
SEQUENCES = 1 << 32
"""A message's sequence is its number in so many."""


class ChunkedMessage(Struct, frozen=True):
    """Where a message begins in its chunk's records; ``sequence``: see ``SEQUENCES``."""

    channel_id: int
    sequence: int
    at_ns: int
    offset: int


class Placed(Struct, frozen=True, kw_only=True):
    """A chunk as it stands in a file, for the index at the file's end."""

    start: int
    length: int
    compression: str
    stored_bytes: int
    plain_bytes: int
    index_offsets: dict[int, int]
    index_bytes: int
    counts: dict[int, int]
    """Messages of each channel."""
    first_ns: int
    last_ns: int
    last_sequence: int


def message_head(channel_id: int, number: int, at_ns: int, content_bytes: int) -> bytes:
    """All of a message's record but its content."""
    record = _RECORD.pack(MESSAGE, _MESSAGE.size + content_bytes)
    return record + _MESSAGE.pack(channel_id, number % SEQUENCES, at_ns, at_ns)


def chunk_head(
    messages: tuple[ChunkedMessage, ...], plain_bytes: int, crc: int, compression: str, stored: int
) -> bytes:
    """All of a chunk's record but its records; ``crc`` 0: not taken."""
    name = compression.encode()
    times = [message.at_ns for message in messages]
    fields = (
        _CHUNK.pack(min(times), max(times), plain_bytes, crc)
        + _LENGTH4.pack(len(name))
        + name
        + _LENGTH8.pack(stored)
    )
    return _RECORD.pack(CHUNK, len(fields) + stored) + fields


def indexes_of(messages: tuple[ChunkedMessage, ...]) -> tuple[bytes, dict[int, int]]:
    """The records that follow a chunk, and where that of each channel begins in them."""
    by_channel: dict[int, list[bytes]] = {}
    for message in messages:
        entry = _ENTRY.pack(message.at_ns, message.offset)
        by_channel.setdefault(message.channel_id, []).append(entry)
    written, offsets = b"", {}
    for channel_id, entries in by_channel.items():
        offsets[channel_id] = len(written)
        fields = _INDEX.pack(channel_id, _ENTRY.size * len(entries)) + b"".join(entries)
        written += _RECORD.pack(MESSAGE_INDEX, len(fields)) + fields
    return written, offsets


def placed(
    start: int,
    head: bytes,
    stored: int,
    compression: str,
    plain_bytes: int,
    messages: tuple[ChunkedMessage, ...],
) -> tuple[Placed, bytes]:
    """A chunk that begins at ``start``, and the indexes that must follow it."""
    written, offsets = indexes_of(messages)
    end = start + len(head) + stored
    times = [message.at_ns for message in messages]
    chunk = Placed(
        start=start,
        length=len(head) + stored,
        compression=compression,
        stored_bytes=stored,
        plain_bytes=plain_bytes,
        index_offsets={channel_id: end + offset for channel_id, offset in offsets.items()},
        index_bytes=len(written),
        counts=dict(Counter(message.channel_id for message in messages)),
        first_ns=min(times),
        last_ns=max(times),
        last_sequence=messages[-1].sequence,
    )
    return chunk, written


class ChunkRecord(Struct, frozen=True, kw_only=True):
    """A chunk's own fields, as read."""

    plain_bytes: int
    crc: int
    compression: str
    head_bytes: int
    """From the beginning of the chunk's record to its records."""
    stored_bytes: int


def read_chunk_head(start: bytes) -> ChunkRecord:
    """From the first bytes of a chunk's record; raises struct.error, UnicodeDecodeError where they are none."""
    at = _RECORD.size
    _, _, plain_bytes, crc = _CHUNK.unpack_from(start, at)
    at += _CHUNK.size
    (name_bytes,) = _LENGTH4.unpack_from(start, at)
    at += _LENGTH4.size
    compression = start[at : at + name_bytes].decode()
    at += name_bytes
    (stored,) = _LENGTH8.unpack_from(start, at)
    return ChunkRecord(
        plain_bytes=plain_bytes,
        crc=crc,
        compression=compression,
        head_bytes=at + _LENGTH8.size,
        stored_bytes=stored,
    )


def messages_of(records: bytes, crc: int) -> tuple[ChunkedMessage, ...]:
    """What is in a chunk's plain records; raises ValueError where they are damaged."""
    if crc and zlib.crc32(records) != crc:
        raise ValueError("the chunk's bytes are not those that were written")
    return tuple(_messages(records))


def _messages(records: bytes) -> Iterator[ChunkedMessage]:
    at = 0
    while at < len(records):
        if at + MESSAGE_HEAD_BYTES > len(records):
            raise ValueError("a record ends beyond its chunk")
        opcode, length = _RECORD.unpack_from(records, at)
        if opcode != MESSAGE or at + _RECORD.size + length > len(records):
            raise ValueError("what is in the chunk is no message")
        channel_id, sequence, at_ns, _ = _MESSAGE.unpack_from(records, at + _RECORD.size)
        yield ChunkedMessage(channel_id, sequence, at_ns, at)
        at += _RECORD.size + length
