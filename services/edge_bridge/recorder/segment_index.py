"""What a segment holds, and the end of an MCAP file that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mcap.data_stream import RecordBuilder
from mcap.records import (
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)
from mcap.writer import MCAP0_MAGIC

from edge_bridge.recorder.chunks import Placed
from edge_bridge.recorder.file import METADATA, PROFILE


class SegmentIndex:
    """Schemas, channels and chunks as they come, or as they are found in a file again."""

    def __init__(self) -> None:
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self._chunks: list[Placed] = []
        self._counts: Counter[int] = Counter()
        self.messages = 0
        self.first_ns, self.last_ns = 0, 0
        self.last_sequence = 0
        """Of the message that was written last of those with the highest numbers."""

    @property
    def topics(self) -> dict[str, int]:
        """How many messages each has."""
        topics: Counter[str] = Counter()
        for channel_id, count in self._counts.items():
            topics[self.channels[channel_id].topic] += count
        return dict(topics)

    def add(self, chunk: Placed) -> None:
        """A chunk stands in the file."""
        self.first_ns = min(self.first_ns, chunk.first_ns) if self.messages else chunk.first_ns
        self.last_ns = max(self.last_ns, chunk.last_ns)
        self.last_sequence = chunk.last_sequence
        self._counts.update(chunk.counts)
        self.messages += sum(chunk.counts.values())
        self._chunks.append(chunk)

    def tail(self, metadata: Mapping[str, str], at: int) -> bytes:
        """What follows the last chunk of a file, from byte ``at`` to its end."""
        about = bytes_of(Metadata(name=METADATA, metadata=dict(metadata)))
        data_end = bytes_of(DataEnd(data_section_crc=0))
        summary = bytes_of(
            *self.schemas.values(),
            *self.channels.values(),
            self._statistics(),
            *map(_index_of, self._chunks),
            MetadataIndex(offset=at, length=len(about), name=METADATA),
        )
        start = at + len(about) + len(data_end)
        footer = bytes_of(Footer(summary_start=start, summary_offset_start=0, summary_crc=0))
        return about + data_end + summary + footer + MCAP0_MAGIC

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self.channels),
            channel_message_counts=dict(self._counts),
            chunk_count=len(self._chunks),
            message_count=self.messages,
            message_end_time=self.last_ns,
            message_start_time=self.first_ns,
            metadata_count=1,
            schema_count=len(self.schemas),
        )


def head() -> bytes:
    """How every segment begins."""
    return MCAP0_MAGIC + bytes_of(Header(profile=PROFILE, library="fleetward"))


def bytes_of(*records: McapRecord) -> bytes:
    """Records as they stand in a file."""
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    written: bytes = builder.end()  # type: ignore[no-untyped-call]  # it says no return type
    return written


def _index_of(chunk: Placed) -> ChunkIndex:
    return ChunkIndex(
        chunk_length=chunk.length,
        chunk_start_offset=chunk.start,
        compression=chunk.compression,
        compressed_size=chunk.stored_bytes,
        message_end_time=chunk.last_ns,
        message_index_length=chunk.index_bytes,
        message_index_offsets=chunk.index_offsets,
        message_start_time=chunk.first_ns,
        uncompressed_size=chunk.plain_bytes,
    )
