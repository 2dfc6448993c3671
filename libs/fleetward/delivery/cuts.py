"""Decides where a file is cut: at tensors, so that what did not change keeps its chunks.

Cuts depend on what lies nearby, never on how far into the file it lies: what is inserted or grows
earlier moves bytes, and changes no chunk after it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from msgspec import Struct

from fleetward.delivery.layout import Layout
from fleetward.delivery.manifest import MAX_CHUNK_BYTES, TensorSpan

MERGE_BELOW_BYTES = 16 * 1024
"""Tensors, and the bytes between them, that are smaller than this share chunks with neighbours."""
MAX_MERGED_BYTES = 256 * 1024
_ENDS_A_GROUP = 4
"""Of the names of small tensors, one in so many may end a group that is large enough."""


class Stretch(Struct, frozen=True):
    """Bytes to chunk on their own. ``by_content``: they have no tensors to go by."""

    start: int
    length: int
    by_content: bool = False


class _Atom(Struct, frozen=True):
    """A tensor, or the bytes between two, which are never cut when they are small."""

    start: int
    length: int
    tensor: TensorSpan | None = None


def stretches(layout: Layout) -> Iterator[Stretch]:
    """The file in stretches, in order and without a gap.

    A large tensor is a stretch of its own. Small ones in a row, with what lies between them, are
    grouped to about 16 to 256 KiB; a group ends where a tensor's name says so (its CRC-32), so
    groups fall into step again soon after something was inserted. That bounds the stretches to
    about one per 8 KiB of the file, and two per large tensor. What comes before the first tensor
    and after the last (headers, the operators of a graph) is cut by its content.
    """
    first = layout.tensors[0].start if layout.tensors else layout.size_bytes
    last = layout.tensors[-1].start + layout.tensors[-1].length if layout.tensors else first
    yield from _stretch(0, first, by_content=True)
    yield from _grouped(list(_atoms(layout.tensors, first)))
    yield from _stretch(last, layout.size_bytes - last, by_content=True)


def fixed_lengths(length: int) -> Iterator[int]:
    """The lengths of the chunks that ``length`` bytes are cut into, every MAX_CHUNK_BYTES."""
    for start in range(0, length, MAX_CHUNK_BYTES):
        yield min(MAX_CHUNK_BYTES, length - start)


def _stretch(start: int, length: int, *, by_content: bool = False) -> Iterator[Stretch]:
    if length > 0:
        yield Stretch(start, length, by_content)


def _atoms(tensors: tuple[TensorSpan, ...], start: int) -> Iterator[_Atom]:
    for tensor in tensors:
        if tensor.start > start:
            yield _Atom(start, tensor.start - start)
        if tensor.length > 0:
            yield _Atom(tensor.start, tensor.length, tensor)
        start = tensor.start + tensor.length


def _grouped(atoms: list[_Atom]) -> Iterator[Stretch]:
    start = length = 0
    for index, atom in enumerate(atoms):
        large = atom.length >= MERGE_BELOW_BYTES
        if large or _begins_a_group(atoms, index, length):
            yield from _stretch(start, length)
            start = length = 0
        if large:
            yield Stretch(atom.start, atom.length, by_content=atom.tensor is None)
        else:
            start, length = (start if length else atom.start), length + atom.length
    yield from _stretch(start, length)


def _begins_a_group(atoms: list[_Atom], index: int, length: int) -> bool:
    """Whether the group of ``length`` bytes ends before this small atom."""
    atom = atoms[index]
    if length + atom.length > MAX_MERGED_BYTES:
        return True
    before = atoms[index - 1] if index else None
    tensor_ended = before is not None and before.tensor is not None
    return length >= MERGE_BELOW_BYTES and tensor_ended and _may_end(before)


def _may_end(atom: _Atom | None) -> bool:
    name = atom.tensor.name if atom is not None and atom.tensor is not None else ""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % _ENDS_A_GROUP == 0
