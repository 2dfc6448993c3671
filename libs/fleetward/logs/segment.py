"""Log segments: JSON lines in zstd frames, each behind a skippable frame that says what is in it.

    zstdcat 000000000007.jsonl.zst | jq .body

A block is written at once and says how long it is, so a file that was cut anywhere is read up to the
cut, and a reader passes over blocks of other times and severities without decompressing them. The
headers are skippable frames (RFC 8878, section 3.1.2), which every zstd program leaves out.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO, Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from fleetward.contracts.errors import FleetwardError
from fleetward.logs.record import LogRecord

SUFFIX = ".jsonl.zst"
LEVEL = 3
MAX_BLOCK_BYTES = 8 * 1024 * 1024
"""Of JSON lines in one block."""
MAX_HEADER_BYTES = 512 * 1024
MAX_FRAME_BYTES = MAX_BLOCK_BYTES + 64 * 1024
_SKIPPABLE = 0x184D2A5F
_PREFIX = struct.Struct("<II")
_WINDOW_BYTES = 8 * 1024 * 1024


class SegmentError(FleetwardError):
    """Bytes that are no log segment, or do not end as one does."""


class Header(Struct, frozen=True, kw_only=True):
    """``first``: its first record's number in the robot's life. ``severest``: the highest severity number.

    ``units``: how many are of which source, those with the most. ``positions``: how far the writer had read
    its sources, in its own words.
    """

    data_bytes: Annotated[int, Meta(ge=0, le=MAX_FRAME_BYTES)] = 0
    first: int
    records: int
    from_ns: int = 0
    until_ns: int = 0
    severest: int = 0
    units: dict[str, int] = {}
    positions: Raw = Raw(b"null")


class Block(Struct, frozen=True, kw_only=True):
    """A header and the frame behind it. ``ends_at``: its end in the file; not ``whole``: it was cut."""

    header: Header
    frame: bytes
    ends_at: int
    whole: bool

    def lines(self) -> list[bytes]:
        """Its records as JSON, as far as they are there."""
        text = _plain(self.frame)
        lines = text.split(b"\n")
        return lines[: self.header.records] if self.whole else lines[:-1]


class BlockWriter:
    """Makes blocks of records, one segment's after the other."""

    def __init__(self, level: int = LEVEL) -> None:
        import zstandard  # a robot at rest has no block to write

        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)

    def block(self, lines: bytes | bytearray, about: Header) -> bytes:
        """The bytes of one block; ``lines`` is JSON, each ended by a newline. Sets ``about.data_bytes``."""
        frame = self._compressor.compress(lines)
        header = msgspec.json.encode(replace(about, data_bytes=len(frame)))
        return _PREFIX.pack(_SKIPPABLE, len(header)) + header + frame


def blocks_in(file: IO[bytes]) -> Iterator[Block]:
    """The blocks of a segment, the last perhaps cut; raises SegmentError for what is none."""
    offset = 0
    while True:
        header = _header(file)
        if header is None:
            return
        frame = file.read(header.data_bytes)
        offset = file.tell()
        whole = len(frame) == header.data_bytes
        yield Block(header=header, frame=frame, ends_at=offset, whole=whole)
        if not whole:
            return


def record_of(line: bytes) -> LogRecord:
    """Raises SegmentError."""
    try:
        return msgspec.json.decode(line, type=LogRecord)
    except msgspec.MsgspecError as problem:
        raise SegmentError(f"a record of a log segment is unreadable: {problem}") from problem


def _header(file: IO[bytes]) -> Header | None:
    """None at the end, wherever that is."""
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    magic, size_bytes = _PREFIX.unpack(prefix)
    if magic != _SKIPPABLE or size_bytes > MAX_HEADER_BYTES:
        raise SegmentError("this is no log segment, or it was damaged here.")
    content = file.read(size_bytes)
    if len(content) < size_bytes:
        return None
    try:
        return msgspec.json.decode(content, type=Header)
    except msgspec.MsgspecError as problem:
        raise SegmentError(f"a header of a log segment is unreadable: {problem}") from problem


def _plain(frame: bytes) -> bytes:
    """As much of a frame as there is and a block may hold; raises SegmentError for what is damaged."""
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(
        io.BytesIO(frame)
    )
    found = bytearray()
    try:
        while len(found) <= MAX_BLOCK_BYTES and (
            part := reader.read(MAX_BLOCK_BYTES + 1 - len(found))
        ):
            found += part
    except zstandard.ZstdError as problem:
        raise SegmentError(f"a block of a log segment is damaged: {problem}") from problem
    if len(found) > MAX_BLOCK_BYTES:
        raise SegmentError(f"a block of a log segment is larger than {MAX_BLOCK_BYTES} bytes.")
    return bytes(found)
