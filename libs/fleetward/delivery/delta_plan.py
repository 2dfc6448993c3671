"""Plans a delta: for each piece of the target, the shortest way to make it from the base.

Chunks that the base has too are copied without being read. What is left is walked tensor by tensor:
each piece is compared with the tensor it continues, and the smallest of copy, chunk, literal,
intdiff and recipe is taken. Deterministic: no clock, no chance; bytes come through ``Side.read``.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.delivery.adapters import LowRank, pairs_by_tensor
from fleetward.delivery.chunking import ChunkedFile
from fleetward.delivery.delta import MAX_SEGMENT_BYTES, Copy, FromChunks, Intdiff, Literal, Segment
from fleetward.delivery.delta_recipes import Recipes
from fleetward.delivery.frames import Content
from fleetward.delivery.intdiff import element_bytes_of, encode_difference, encode_literal
from fleetward.delivery.manifest import Chunk, ChunkManifest, TensorSpan
from fleetward.delivery.matching import match_tensors

PIECE_BYTES = 1024 * 1024
"""How much is decided at once: as long as the longest chunk, so that pieces of tensors are chunks."""
WORTH_A_PAYLOAD = 0.99
"""A payload longer than this share of its chunks is not kept: the chunks are there already."""
GOOD_ENOUGH = 0.5
"""A difference shorter than this share of its bytes is taken without trying a literal."""

ReadAt = Callable[[int, int], Content]
"""``length`` bytes from ``start`` on."""


class Side(Struct, frozen=True, eq=False):
    """One of the two files: what is in it, and its bytes."""

    digest: Digest
    size_bytes: int
    tensors: tuple[TensorSpan, ...]
    chunks: tuple[Chunk, ...]
    read: ReadAt


class Piece(Struct, frozen=True):
    """A segment and its payload."""

    segment: Segment
    payload: Content = b""


class _Stretch(Struct, frozen=True):
    """Bytes of the target that no chunk of the base holds; of ``tensor``, or between tensors."""

    start: int
    end: int
    tensor: TensorSpan | None


def side_of_manifest(manifest: ChunkManifest, read: ReadAt) -> Side:
    """A published model."""
    header = manifest.header
    return Side(header.digest, header.size_bytes, header.tensors, manifest.chunks, read)


def side_of_file(file: ChunkedFile, read: ReadAt) -> Side:
    """A file on this machine."""
    return Side(file.digest, file.layout.size_bytes, file.layout.tensors, file.chunks, read)


def plain_bytes(base: Side, target: Side) -> int:
    """What an update moves without a delta: the target's chunks that the base lacks, each once."""
    held = {chunk.sha256 for chunk in base.chunks}
    missing = {chunk.sha256: chunk.length for chunk in target.chunks if chunk.sha256 not in held}
    return sum(missing.values())


def plan_chunks(base: Side, target: Side) -> Iterator[Segment]:
    """The update by whole chunks alone: nothing is read."""
    held = _first_starts(base.chunks)
    for chunk in target.chunks:
        start = held.get(chunk.sha256)
        yield FromChunks(chunk.length) if start is None else Copy(chunk.length, start)


class Planner:
    """Plans one delta; ``recipes`` holds the adapters in use once ``pieces`` ran to its end."""

    def __init__(self, base: Side, target: Side, pairs: Mapping[str, LowRank]) -> None:
        self._base = base
        self._target = target
        self._held = _first_starts(base.chunks)
        self._held_at = {chunk.start: chunk.sha256 for chunk in base.chunks}
        self._starts = [chunk.start for chunk in target.chunks]
        self._cuts = {*self._starts, target.size_bytes}
        self._continued = match_tensors(
            base.tensors, target.tensors, _content_of(base), _content_of(target)
        )
        self.recipes = Recipes(pairs_by_tensor(target.tensors, pairs))

    def pieces(self) -> Iterator[Piece]:
        """The target in order, with neighbours that may be one segment joined."""
        last: Piece | None = None
        for piece in self._pieces():
            joined = _joined(last, piece) if last is not None else None
            if joined is None and last is not None:
                yield last
            last = joined or piece
        if last is not None:
            yield last

    def _pieces(self) -> Iterator[Piece]:
        for start, end, tensor in _spans(self._target):
            whole = tensor is not None and self.recipes.has(tensor)
            for part in self._changed_or_copied(_Stretch(start, end, tensor), whole=whole):
                if isinstance(part, Copy):
                    yield Piece(part)
                else:
                    yield from self._made(part)

    def _changed_or_copied(self, span: _Stretch, *, whole: bool) -> Iterator[Copy | _Stretch]:
        """The span as copies of chunks and stretches of what the base has no chunk of."""
        if whole:
            yield span
            return
        changed: int | None = None
        for chunk in self._chunks_in(span):
            start, end = max(chunk.start, span.start), min(chunk.start + chunk.length, span.end)
            held = self._held_start(chunk, span.tensor)
            if held is None:
                changed = start if changed is None else changed
                continue
            if changed is not None:
                yield _Stretch(changed, start, span.tensor)
                changed = None
            yield Copy(end - start, held + start - chunk.start)
        if changed is not None:
            yield _Stretch(changed, span.end, span.tensor)

    def _held_start(self, chunk: Chunk, tensor: TensorSpan | None) -> int | None:
        """Where the base has the chunk, in the same tensor if it can be: some bytes occur twice."""
        continued = self._continued.get(tensor.name) if tensor is not None else None
        if tensor is not None and continued is not None:
            same_place = continued.start + chunk.start - tensor.start
            if self._held_at.get(same_place) == chunk.sha256:
                return same_place
        return self._held.get(chunk.sha256)

    def _chunks_in(self, span: _Stretch) -> Iterator[Chunk]:
        index = bisect_right(self._starts, span.start) - 1
        while index < len(self._starts) and self._starts[index] < span.end:
            yield self._target.chunks[index]
            index += 1

    def _made(self, stretch: _Stretch) -> Iterator[Piece]:
        start = stretch.start
        while start < stretch.end:
            end = self._piece_end(stretch, start)
            yield self._shortest(start, end, stretch.tensor)
            start = end

    def _piece_end(self, stretch: _Stretch, start: int) -> int:
        """Tensors are cut on a grid from their start; what lies between them, at its chunks."""
        tensor = stretch.tensor
        if tensor is not None:
            step = self.recipes.piece_bytes(tensor, PIECE_BYTES)
            end = min(stretch.end, start + step - (start - tensor.start) % step)
            known = tensor.start + self._continued_bytes(tensor)
            return known if start < known < end else end
        limit = min(stretch.end, start + PIECE_BYTES)
        cut = self._starts[bisect_right(self._starts, limit) - 1]
        return cut if cut > start and limit < stretch.end else limit

    def _continued_bytes(self, tensor: TensorSpan) -> int:
        continued = self._continued.get(tensor.name)
        return continued.length if continued is not None else 0

    def _shortest(self, start: int, end: int, tensor: TensorSpan | None) -> Piece:
        length = end - start
        content = self._target.read(start, length)
        best = None if tensor is None else self._from_base(content, start, tensor)
        if best is not None and (isinstance(best.segment, Copy) or _is_short(best)):
            return best
        width = element_bytes_of(tensor.element_type if tensor else "", length)
        literal = encode_literal(content, width)
        if best is None or len(literal) < len(best.payload):
            best = Piece(Literal(length, width, len(literal)), literal)
        in_chunks = start in self._cuts and end in self._cuts
        if in_chunks and len(best.payload) > length * WORTH_A_PAYLOAD:
            return Piece(FromChunks(length))
        return best

    def _from_base(self, content: Content, start: int, tensor: TensorSpan) -> Piece | None:
        """The piece out of the tensor that it continues; None when there is none, or no gain."""
        continued = self._continued.get(tensor.name)
        length, within = len(content), start - tensor.start
        if continued is None or within + length > continued.length:
            return None
        base_start = continued.start + within
        base = self._base.read(base_start, length)
        if base == content:
            return Piece(Copy(length, base_start))
        recipe = self.recipes.piece(content, base, base_start, tensor, within)
        if recipe is not None:
            return Piece(recipe.segment, recipe.payload)
        width = element_bytes_of(tensor.element_type, length)
        payload = encode_difference(content, base, width)
        if len(payload) > length:
            return None
        return Piece(Intdiff(length, base_start, width, len(payload)), payload)


def _is_short(piece: Piece) -> bool:
    return len(piece.payload) <= piece.segment.length * GOOD_ENOUGH


def _first_starts(chunks: tuple[Chunk, ...]) -> dict[bytes, int]:
    return {chunk.sha256: chunk.start for chunk in reversed(chunks)}


def _content_of(side: Side) -> Callable[[TensorSpan], bytes]:
    """A tensor's SHA-256, read in pieces."""

    def digest(tensor: TensorSpan) -> bytes:
        hashed = hashlib.sha256()
        for start in range(0, tensor.length, PIECE_BYTES):
            length = min(PIECE_BYTES, tensor.length - start)
            hashed.update(side.read(tensor.start + start, length))
        return hashed.digest()

    return digest


def _spans(side: Side) -> Iterator[tuple[int, int, TensorSpan | None]]:
    """The file as tensors and what lies between them, in order and without a gap."""
    end = 0
    for tensor in side.tensors:
        if tensor.start > end:
            yield end, tensor.start, None
        if tensor.length:
            yield tensor.start, tensor.start + tensor.length, tensor
        end = tensor.start + tensor.length
    if end < side.size_bytes:
        yield end, side.size_bytes, None


def _joined(before: Piece, after: Piece) -> Piece | None:
    """Both as one segment; None when they cannot be, or when it would be too long."""
    first, second = before.segment, after.segment
    length = first.length + second.length
    if length > MAX_SEGMENT_BYTES:
        return None
    if isinstance(first, FromChunks) and isinstance(second, FromChunks):
        return Piece(FromChunks(length))
    if isinstance(first, Copy) and isinstance(second, Copy):
        follows = first.base_start + first.length == second.base_start
        return Piece(Copy(length, first.base_start)) if follows else None
    return None
