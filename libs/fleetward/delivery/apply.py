"""Makes the bytes of a segment from its base and its payload, in bounded time and memory.

Nothing here is trusted afterwards: the caller checks every chunk of the result by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from fleetward.delivery.delta import (
    ELEMENT_BYTES,
    Adapter,
    Copy,
    Delta,
    FromChunks,
    Intdiff,
    Literal,
    Placed,
    Recipe,
    Segment,
)
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.frames import Content
from fleetward.delivery.intdiff import decode_difference, decode_literal
from fleetward.delivery.planes import Scratch
from fleetward.delivery.recipe import Factors, factors_of, merged

ReadAt = Callable[[int, int], Content]
"""``length`` bytes from ``start`` on."""


class LoadedAdapter(Struct, frozen=True, eq=False):
    """An adapter whose payload is here, ready to be merged into rows."""

    adapter: Adapter
    factors: Factors


def load_adapter(adapter: Adapter, payload: Content) -> LoadedAdapter:
    """Ready an adapter; takes at most 4 x MAX_ADAPTER_BYTES of memory. Raises DeltaError."""
    _expect(payload, adapter.payload_bytes, "an adapter's payload")
    width = ELEMENT_BYTES[adapter.factor_type]
    content = decode_literal(payload, adapter.factor_bytes, width)
    return LoadedAdapter(adapter, factors_of(adapter, content))


def make_segment(
    segment: Segment,
    base: Content,
    payload: Content,
    adapter: LoadedAdapter | None = None,
    scratch: Scratch | None = None,
) -> Content:
    """The ``segment.length`` bytes of a copy, literal, intdiff or recipe; raises DeltaError.

    ``base`` holds the segment's bytes of the base (none for a literal), ``payload`` its payload,
    ``adapter`` the one that a recipe names. Memory is a small multiple of MAX_SEGMENT_BYTES. With a
    ``scratch``, the result lies in it until it is used for the next segment.
    """
    _expect(payload, segment.payload_bytes, "a segment's payload")
    if isinstance(segment, FromChunks):
        raise DeltaError("a segment of chunks comes from packs, not from the delta.")
    if isinstance(segment, Literal):
        return decode_literal(payload, segment.length, segment.element_bytes, scratch)
    _expect(base, segment.length, "what was read of the base")
    if isinstance(segment, Copy):
        return base
    if isinstance(segment, Intdiff):
        return decode_difference(payload, base, segment.element_bytes, scratch)
    return _merged(segment, base, payload, adapter, scratch)


class Applier:
    """Makes segments in any order, from readers of the base, the delta file and the chunks.

    A segment's bytes are good until the next one's are asked for. ``read_chunks`` gives bytes of the target, which it has from packs.
    """

    def __init__(
        self, delta: Delta, *, read_base: ReadAt, read_delta: ReadAt, read_chunks: ReadAt
    ) -> None:
        self._delta = delta
        self._read_base = read_base
        self._read_delta = read_delta
        self._read_chunks = read_chunks
        self._scratch = Scratch()
        self._adapter_starts = delta.adapter_starts()
        self._loaded: tuple[int, LoadedAdapter] | None = None

    def bytes_of(self, placed: Placed) -> Content:
        """The result of one segment; raises DeltaError and whatever a reader raises."""
        segment = placed.segment
        if isinstance(segment, FromChunks):
            return self._read_chunks(placed.start, segment.length)
        payload = self._payload(placed)
        if isinstance(segment, Literal):
            return make_segment(segment, b"", payload, scratch=self._scratch)
        base = self._read_base(segment.base_start, segment.length)
        adapter = self._adapter(segment.adapter) if isinstance(segment, Recipe) else None
        return make_segment(segment, base, payload, adapter, self._scratch)

    def _payload(self, placed: Placed) -> Content:
        length = placed.segment.payload_bytes
        return self._read_delta(placed.payload_start, length) if length else b""

    def _adapter(self, number: int) -> LoadedAdapter:
        """The adapter ``number``; the last one used is kept, for the rows that follow."""
        if self._loaded is None or self._loaded[0] != number:
            adapter = self._delta.header.adapters[number]
            payload = self._read_delta(self._adapter_starts[number], adapter.payload_bytes)
            self._loaded = (number, load_adapter(adapter, payload))
        return self._loaded[1]


def _merged(
    segment: Recipe,
    base: Content,
    payload: Content,
    adapter: LoadedAdapter | None,
    scratch: Scratch | None,
) -> Content:
    if adapter is None:
        raise DeltaError(f"the recipe needs adapter {segment.adapter}, which is not loaded.")
    rows = merged(base, adapter.adapter, adapter.factors, segment.first_row)
    if not segment.payload_bytes:
        return rows
    width = ELEMENT_BYTES[adapter.adapter.element_type]
    return decode_difference(payload, rows, width, scratch)


def _expect(content: Content, length: int, what: str) -> None:
    held = memoryview(content).nbytes
    if held != length:
        raise DeltaError(f"{what} is {held} bytes where {length} belong.")
