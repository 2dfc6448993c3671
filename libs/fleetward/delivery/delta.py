"""The delta file: how the bytes of one model are made from another model's, segment by segment.

Layout on the wire, all integers little-endian::

    b"FWDL" | version u32 = 1 | header bytes u32 | header: canonical JSON | payloads

Nothing states an offset into the target or into the payloads: segments cover the target in order,
and the payloads (first the adapters', then the segments') lie one after the other. So they can
neither overlap nor leave a gap. A delta is not trusted: what it makes is checked against the signed
chunk manifest.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.manifest import MAX_MODEL_BYTES

MAGIC = b"FWDL"
FORMAT_VERSION = 1
PREFIX_BYTES = 12
MAX_SEGMENT_BYTES = 4 * 1024 * 1024
MAX_SEGMENTS = 500_000
MAX_HEADER_BYTES = 32 * 1024 * 1024
MAX_ADAPTERS = 100_000
MAX_RANK = 256
MAX_ADAPTER_BYTES = 32 * 1024 * 1024
"""What the two factors of one adapter may take, as fp32."""

ELEMENT_BYTES = {"F16": 2, "BF16": 2, "F32": 4}
"""What a recipe can round to, and what its factors may be written in."""

_PREFIX = struct.Struct("<4sII")


class Copy(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="copy"):
    """``length`` bytes as they are in the base, from ``base_start`` on."""

    length: int
    base_start: int

    @property
    def payload_bytes(self) -> int:
        """A copy has no payload."""
        return 0


class FromChunks(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="chunk"):
    """``length`` bytes of the target's own chunks, from its packs; begins and ends at a chunk's."""

    length: int

    @property
    def payload_bytes(self) -> int:
        """Chunks come from packs, not from the delta."""
        return 0


class Literal(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="literal"):
    """New bytes: as they are when the payload is ``length`` long, else byte planes in zstd."""

    length: int
    element_bytes: int
    payload_bytes: int


class Intdiff(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="intdiff"):
    """Each element's bit pattern as its difference from the base's (``fleetward.delivery.intdiff``)."""

    length: int
    base_start: int
    element_bytes: int
    payload_bytes: int


class Recipe(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="recipe"):
    """Whole rows of a tensor: the base's plus an adapter's, plus an intdiff of what that misses.

    ``adapter`` counts the header's adapters from 0; ``first_row`` is the row at ``base_start``; a
    payload of 0 bytes says that the merge was exact.
    """

    length: int
    base_start: int
    adapter: int
    first_row: int
    payload_bytes: int


Segment = Copy | FromChunks | Literal | Intdiff | Recipe


class Adapter(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A low-rank change of one tensor: ``+ scale * left @ right``, rounded to ``element_type``.

    left: rows x rank, right: rank x columns, both as ``factor_type``, row-major, in this order, in
    a payload written as a literal's.
    """

    element_type: str
    factor_type: str
    rows: int
    columns: int
    rank: int
    scale: float
    payload_bytes: int

    @property
    def row_bytes(self) -> int:
        """One row of the tensor in the file."""
        return self.columns * ELEMENT_BYTES[self.element_type]

    @property
    def factor_bytes(self) -> int:
        """Both factors, decompressed."""
        return self.rank * (self.rows + self.columns) * ELEMENT_BYTES[self.factor_type]


class DeltaHeader(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the delta makes, out of what."""

    base: Digest
    base_size_bytes: int
    target: Digest
    target_size_bytes: int
    adapters: tuple[Adapter, ...] = ()
    segments: tuple[Segment, ...]


class Placed(Struct, frozen=True):
    """A segment with where its result begins in the target and its payload in the delta file."""

    segment: Segment
    start: int
    payload_start: int


class Delta(Struct, frozen=True):
    """A checked header; ``header_bytes`` counts the file's bytes before the first payload."""

    header: DeltaHeader
    header_bytes: int

    @property
    def payload_bytes(self) -> int:
        """All payloads: the delta file's size is ``header_bytes`` more."""
        return _total_payload(self.header)

    @property
    def chunk_bytes(self) -> int:
        """What comes from packs."""
        return sum(one.length for one in self.header.segments if isinstance(one, FromChunks))

    @property
    def fetch_bytes(self) -> int:
        """Everything that moves to make the target: the delta file and the chunks."""
        return self.header_bytes + self.payload_bytes + self.chunk_bytes

    def adapter_starts(self) -> list[int]:
        """Where each adapter's payload begins in the delta file."""
        starts, start = [], self.header_bytes
        for adapter in self.header.adapters:
            starts.append(start)
            start += adapter.payload_bytes
        return starts

    def placed(self) -> Iterator[Placed]:
        """Every segment with its places, in the order of the target."""
        start = 0
        payload_start = self.header_bytes + sum(one.payload_bytes for one in self.header.adapters)
        for segment in self.header.segments:
            yield Placed(segment, start, payload_start)
            start += segment.length
            payload_start += segment.payload_bytes


def encode_header(header: DeltaHeader) -> bytes:
    """Prefix and header, to be followed by the payloads."""
    text = msgspec.json.encode(header, order="deterministic")
    return _PREFIX.pack(MAGIC, FORMAT_VERSION, len(text)) + text


def header_length(prefix: bytes) -> int:
    """How many bytes of the file are not payload, from its first PREFIX_BYTES; raises DeltaError."""
    if len(prefix) < PREFIX_BYTES:
        raise DeltaError(f"a delta of {len(prefix)} bytes is cut off.")
    magic, version, header_bytes = _PREFIX.unpack_from(prefix)
    if magic != MAGIC or version != FORMAT_VERSION:
        raise DeltaError(
            f"this is no delta of version {FORMAT_VERSION} (it begins {prefix[:8]!r})."
        )
    if not 0 < header_bytes <= MAX_HEADER_BYTES:
        raise DeltaError(f"a header of {header_bytes} bytes is not 1 to {MAX_HEADER_BYTES} long.")
    return PREFIX_BYTES + int(header_bytes)


def decode_delta(content: bytes, size_bytes: int) -> Delta:
    """Read a delta's header and hold it to every rule of the format; raises DeltaError.

    ``content`` is the file's beginning, at least to the header's end; ``size_bytes`` the whole
    file. Time and memory are bounded by ``len(content)``, whoever wrote it.
    """
    end = header_length(content)
    if end > len(content):
        raise DeltaError(f"its header claims {end} bytes of {len(content)}.")
    try:
        header = msgspec.json.decode(content[PREFIX_BYTES:end], type=DeltaHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DeltaError(f"the delta's header cannot be read: {error}.") from error
    _check_sizes(header)
    for adapter in header.adapters:
        _check_adapter(adapter)
    for segment in header.segments:
        _check_segment(segment, header)
    if end + _total_payload(header) != size_bytes:
        raise DeltaError(
            f"header and payloads take {end + _total_payload(header)} bytes, the file {size_bytes}."
        )
    if encode_header(header) != content[:end]:
        raise DeltaError("the delta's header is not in its canonical form.")
    return Delta(header, end)


def _total_payload(header: DeltaHeader) -> int:
    adapters = sum(adapter.payload_bytes for adapter in header.adapters)
    return adapters + sum(segment.payload_bytes for segment in header.segments)


def _check_sizes(header: DeltaHeader) -> None:
    for size_bytes in (header.base_size_bytes, header.target_size_bytes):
        if not 0 < size_bytes <= MAX_MODEL_BYTES:
            raise DeltaError(f"a model of {size_bytes} bytes is not 1 to {MAX_MODEL_BYTES} long.")
    if len(header.segments) > MAX_SEGMENTS or len(header.adapters) > MAX_ADAPTERS:
        raise DeltaError(
            f"{len(header.segments)} segments and {len(header.adapters)} adapters are more than "
            f"the {MAX_SEGMENTS} and {MAX_ADAPTERS} a delta may hold."
        )
    made = sum(segment.length for segment in header.segments)
    if made != header.target_size_bytes:
        raise DeltaError(f"the segments make {made} bytes of {header.target_size_bytes}.")


def _check_adapter(adapter: Adapter) -> None:
    if adapter.element_type not in ELEMENT_BYTES or adapter.factor_type not in ELEMENT_BYTES:
        raise DeltaError(f"an adapter of {adapter.element_type} cannot be merged.")
    if adapter.rows < 1 or adapter.columns < 1 or not 1 <= adapter.rank <= MAX_RANK:
        raise DeltaError(
            f"an adapter cannot be {adapter.rows} x {adapter.rank} x {adapter.columns}."
        )
    if adapter.rank * (adapter.rows + adapter.columns) * 4 > MAX_ADAPTER_BYTES:
        raise DeltaError(f"an adapter's factors take more than {MAX_ADAPTER_BYTES} bytes.")
    if not math.isfinite(adapter.scale):
        raise DeltaError("an adapter's scale is not finite.")
    if not 0 < adapter.payload_bytes <= adapter.factor_bytes:
        raise DeltaError(f"an adapter's payload cannot be {adapter.payload_bytes} bytes long.")


def _check_segment(segment: Segment, header: DeltaHeader) -> None:
    if not 0 < segment.length <= MAX_SEGMENT_BYTES:
        raise DeltaError(
            f"a segment of {segment.length} bytes is not 1 to {MAX_SEGMENT_BYTES} long."
        )
    if isinstance(segment, (Copy, Intdiff, Recipe)):
        end = segment.base_start + segment.length
        if segment.base_start < 0 or end > header.base_size_bytes:
            raise DeltaError(f"a segment reads the base to {end} of {header.base_size_bytes}.")
    if isinstance(segment, Recipe):
        _check_recipe(segment, header)
    elif isinstance(segment, (Literal, Intdiff)):
        _check_payload(segment)


def _check_payload(segment: Literal | Intdiff) -> None:
    if segment.element_bytes not in (1, 2, 4, 8) or segment.length % segment.element_bytes:
        raise DeltaError(f"{segment.length} bytes are no {segment.element_bytes}-byte elements.")
    if not 0 < segment.payload_bytes <= segment.length:
        raise DeltaError(f"{segment.payload_bytes} bytes cannot make {segment.length}.")


def _check_recipe(segment: Recipe, header: DeltaHeader) -> None:
    if not 0 <= segment.adapter < len(header.adapters):
        raise DeltaError(f"there is no adapter {segment.adapter} of {len(header.adapters)}.")
    adapter = header.adapters[segment.adapter]
    rows, rest = divmod(segment.length, adapter.row_bytes)
    if rest or segment.first_row < 0 or segment.first_row + rows > adapter.rows:
        raise DeltaError(f"{rows} rows from {segment.first_row} on are not in {adapter.rows}.")
    if not 0 <= segment.payload_bytes <= segment.length:
        raise DeltaError(f"{segment.payload_bytes} bytes cannot make {segment.length}.")
