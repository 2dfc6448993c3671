"""One segment while it is written: an MCAP file of whole chunks, so that a kill costs no more than the last.

Bytes go to the kernel as they come. ``finish`` writes the end; a file without it is mended by ``mending``.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import zstandard
from mcap.records import Channel, Schema

from edge_bridge.recorder.chunks import ZSTD, ChunkedMessage, chunk_head, message_head, placed
from edge_bridge.recorder.file import Recorded
from edge_bridge.recorder.segment_index import SegmentIndex, bytes_of, head

LARGE_BYTES = 64 * 1024
"""A message from here on is a chunk of its own."""
CHUNK_BYTES = 1024 * 1024
MAX_CHANNELS = 1024
_ZSTD_LEVEL = 1


class SegmentFile:
    """Messages go in until it is finished. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """A new file, nothing of which stays where this fails; raises OSError, also where there is one."""
        self.path = path
        self.index = SegmentIndex()
        """What is in the file for sure."""
        self.size_bytes = 0
        self._file: IO[bytes] = path.open("xb", buffering=0)
        self._channel_ids: dict[tuple[str, str, str, bytes], int] = {}
        self._schema_ids: dict[tuple[str, bytes], int] = {}
        self._small: list[bytes] = []
        self._small_bytes = 0
        self._small_messages: list[ChunkedMessage] = []
        self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        try:
            self._write(head())
        except OSError:
            self._file.close()
            with suppress(OSError):
                path.unlink()
            raise

    @property
    def is_full(self) -> bool:
        """Whether no further channel fits."""
        return len(self.index.channels) >= MAX_CHANNELS

    @property
    def waiting(self) -> int:
        """Messages that the kernel was not given yet."""
        return len(self._small_messages)

    def add(self, message: Recorded, number: int) -> None:
        """Add a message; a small one waits for its chunk to be full, or for ``flush``. Raises OSError."""
        channel_id, content = self._channel(message), message.content
        begin = message_head(channel_id, number, message.at_ns, len(content))
        if len(content) >= LARGE_BYTES:
            crc = zlib.crc32(content, zlib.crc32(begin))
            only = (ChunkedMessage(channel_id, number, message.at_ns, 0),)
            self._chunk(only, crc, "", len(begin) + len(content), begin, content)
            return
        self._small_messages.append(
            ChunkedMessage(channel_id, number, message.at_ns, self._small_bytes)
        )
        self._small += (begin, content)
        self._small_bytes += len(begin) + len(content)
        if self._small_bytes >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Give the kernel what waits; raises OSError."""
        if not self._small_messages:
            return
        messages, plain = tuple(self._small_messages), b"".join(self._small)
        self._small, self._small_messages, self._small_bytes = [], [], 0
        compressed = self._compressor.compress(plain)
        self._chunk(messages, zlib.crc32(plain), ZSTD, len(plain), compressed)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what waits, what the file is about, the index and the end; raises OSError."""
        self.flush()
        self._write(self.index.tail(metadata, self.size_bytes))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _chunk(
        self,
        messages: tuple[ChunkedMessage, ...],
        crc: int,
        compression: str,
        plain_bytes: int,
        *stored: bytes,
    ) -> None:
        stored_bytes = sum(map(len, stored))
        begin = chunk_head(messages, plain_bytes, crc, compression, stored_bytes)
        chunk, indexes = placed(
            self.size_bytes, begin, stored_bytes, compression, plain_bytes, messages
        )
        self._write(begin, *stored, indexes)
        self.index.add(chunk)

    def _write(self, *pieces: bytes) -> None:
        """All of it in one call, if the kernel takes all."""
        left = [memoryview(piece) for piece in pieces]
        while left:
            written = os.writev(self._file.fileno(), left)
            self.size_bytes += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]

    def _channel(self, message: Recorded) -> int:
        key = (message.topic, message.encoding, message.schema_name, message.schema)
        if key not in self._channel_ids:
            channel = Channel(
                id=len(self.index.channels) + 1,
                topic=message.topic,
                message_encoding=message.encoding,
                metadata={},
                schema_id=self._schema(message),
            )
            self._write(bytes_of(channel))
            self.index.channels[channel.id] = channel
            self._channel_ids[key] = channel.id
        return self._channel_ids[key]

    def _schema(self, message: Recorded) -> int:
        if not message.schema_name:
            return 0  # MCAP's word for none
        key = (message.schema_name, message.schema)
        if key not in self._schema_ids:
            schema = Schema(
                id=len(self.index.schemas) + 1,
                name=message.schema_name,
                encoding=message.schema_encoding,
                data=message.schema,
            )
            self._write(bytes_of(schema))
            self.index.schemas[schema.id] = schema
            self._schema_ids[key] = schema.id
        return self._schema_ids[key]
