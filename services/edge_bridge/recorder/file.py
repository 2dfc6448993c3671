"""MCAP files that are readable as far as they go: written one message after the other, cut by time.

Segments of the ring have no chunks: each message is in the file once it was written, so that a
``kill -9`` costs none that was, and what is recorded and never asked for is never compressed. What
is sent is compressed when it is cut (MCAP specification, https://mcap.dev/spec).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from msgspec import Struct

PROFILE = "fleetward"
METADATA = "fleetward.recording"
RECORD_LIMIT_BYTES = 64 * 1024 * 1024
"""A record that claims to be longer is damage, not a message."""


class Recorded(Struct, frozen=True, kw_only=True):
    """One message. ``schema`` may be empty; ``at_ns`` is unix time by the robot's clock."""

    topic: str
    at_ns: int
    content: bytes
    encoding: str = "json"
    schema_name: str = ""
    schema_encoding: str = ""
    schema: bytes = b""


class RecordingFile:
    """Writes messages into an open file; channels and schemas are declared as they first come."""

    def __init__(self, file: IO[bytes], *, compressed: bool) -> None:
        from mcap.writer import CompressionType, IndexType, Writer

        self._writer = Writer(
            file,
            compression=CompressionType.ZSTD if compressed else CompressionType.NONE,
            use_chunking=compressed,
            index_types=IndexType.ALL if compressed else IndexType.NONE,
        )
        self._writer.start(profile=PROFILE)
        self._channels: dict[tuple[str, str, str, bytes], int] = {}
        self._schemas: dict[tuple[str, bytes], int] = {}

    def write(self, message: Recorded) -> None:
        """Add a message; raises OSError."""
        self._writer.add_message(
            channel_id=self._channel(message),
            log_time=message.at_ns,
            publish_time=message.at_ns,
            data=message.content,
        )

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Say what the file is about."""
        self._writer.add_metadata(METADATA, dict(metadata))

    def finish(self) -> None:
        """Write the end; a file without one is readable too."""
        self._writer.finish()  # type: ignore[no-untyped-call]  # it says no return type

    def _channel(self, message: Recorded) -> int:
        key = (message.topic, message.encoding, message.schema_name, message.schema)
        known = self._channels.get(key)
        if known is None:
            known = self._channels[key] = self._writer.register_channel(
                topic=message.topic,
                message_encoding=message.encoding,
                schema_id=self._schema(message),
            )
        return known

    def _schema(self, message: Recorded) -> int:
        if not message.schema_name:
            return 0  # MCAP's word for none
        key = (message.schema_name, message.schema)
        if key not in self._schemas:
            self._schemas[key] = self._writer.register_schema(
                message.schema_name, message.schema_encoding, message.schema
            )
        return self._schemas[key]


def messages_in(path: Path) -> Iterator[Recorded]:
    """The messages of a file in its order, as far as it goes; none of a file that is gone."""
    from mcap.exceptions import McapError
    from mcap.reader import NonSeekingReader

    cut_off = (McapError, struct.error, UnicodeDecodeError, ValueError)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        reader = NonSeekingReader(file, record_size_limit=RECORD_LIMIT_BYTES)
        try:
            for schema, channel, message in reader.iter_messages(log_time_order=False):
                yield Recorded(
                    topic=channel.topic,
                    at_ns=message.log_time,
                    content=message.data,
                    encoding=channel.message_encoding,
                    schema_name=schema.name if schema else "",
                    schema_encoding=schema.encoding if schema else "",
                    schema=schema.data if schema else b"",
                )
        except cut_off:
            return


def cut(
    segments: Iterable[Path],
    target: IO[bytes],
    between_ns: tuple[int, int],
    limit_bytes: int,
    metadata: Mapping[str, str],
) -> int:
    """Write what ``segments`` hold between two instants, both included; return how many messages.

    Stops before what would make the file larger than ``limit_bytes`` uncompressed. Raises OSError.
    """
    file, messages, size_bytes = RecordingFile(target, compressed=True), 0, 0
    file.describe(metadata)
    first_ns, last_ns = between_ns
    for segment in segments:
        for message in messages_in(segment):
            if not first_ns <= message.at_ns <= last_ns:
                continue
            size_bytes += len(message.content)
            if size_bytes > limit_bytes:
                break
            file.write(message)
            messages += 1
    file.finish()
    return messages
