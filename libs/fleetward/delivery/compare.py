"""What an update does to each tensor and what that costs, out of the delta that makes it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from msgspec import Struct

from fleetward.delivery.delta import Copy, FromChunks, Intdiff, Literal, Recipe, Segment
from fleetward.delivery.manifest import TensorSpan

BETWEEN = "(between tensors)"
"""What the format itself wrote: headers, names, the operators of a graph."""


class Fate(str, Enum):
    """What became of a tensor."""

    UNCHANGED = "unchanged"
    MOVED = "moved"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class TensorChange(Struct, frozen=True, kw_only=True):
    """One tensor's fate. ``cost_bytes`` is what moves for it; ``by`` the kinds of its segments.

    A moved tensor has all its bytes from the base, but from another place or under another name.
    """

    name: str
    element_type: str
    shape: tuple[int, ...]
    size_bytes: int
    fate: Fate
    cost_bytes: int
    by: tuple[str, ...]


class _Part(Struct, frozen=True):
    """``length`` bytes of a segment that lie in one tensor."""

    segment: Segment
    length: int
    base_start: int | None


def compare(
    base: Sequence[TensorSpan], target: Sequence[TensorSpan], segments: Iterable[Segment], size: int
) -> list[TensorChange]:
    """Every tensor of the target, what lies between them, and those of the base that nothing uses.

    ``segments`` make the target's ``size`` bytes in order, as in a delta's header.
    """
    held = {tensor.name: tensor for tensor in base}
    walk = _Walk(segments)
    changes, between = [], []
    end = 0
    for tensor in target:
        between += walk.parts(end, tensor.start)
        end = tensor.start + tensor.length
        changes.append(_change(tensor, held.get(tensor.name), walk.parts(tensor.start, end)))
    between += walk.parts(end, size)
    kept = {tensor.name for tensor in target}
    used = _Ranges(walk.segments)
    changes += [
        _removed(tensor)
        for tensor in base
        if tensor.name not in kept and not used.touch(tensor.start, tensor.start + tensor.length)
    ]
    return [*changes, _between(between)]


class _Walk:
    """Segments by where they begin in the target."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self.segments: list[Segment] = []
        self._starts: list[int] = []
        start = 0
        for segment in segments:
            self.segments.append(segment)
            self._starts.append(start)
            start += segment.length

    def parts(self, start: int, end: int) -> list[_Part]:
        return list(self._parts(start, end))

    def _parts(self, start: int, end: int) -> Iterator[_Part]:
        index = bisect_right(self._starts, start) - 1
        while start < end:
            segment = self.segments[index]
            within = start - self._starts[index]
            length = min(end - start, segment.length - within)
            copied = segment.base_start + within if isinstance(segment, Copy) else None
            yield _Part(segment, length, copied)
            start += length
            index += 1


class _Ranges:
    """What the segments read of the base."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        reading = [one for one in segments if isinstance(one, (Copy, Intdiff, Recipe))]
        for segment in sorted(reading, key=lambda one: one.base_start):
            end = segment.base_start + segment.length
            if self._ends and segment.base_start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(segment.base_start)
                self._ends.append(end)

    def touch(self, start: int, end: int) -> bool:
        index = bisect_right(self._starts, end - 1) - 1
        return index >= 0 and self._ends[index] > start


def _change(tensor: TensorSpan, held: TensorSpan | None, parts: list[_Part]) -> TensorChange:
    return TensorChange(
        name=tensor.name,
        element_type=tensor.element_type,
        shape=tensor.shape,
        size_bytes=tensor.length,
        fate=_fate(tensor, held, parts),
        cost_bytes=_cost(parts),
        by=_kinds(parts),
    )


def _fate(tensor: TensorSpan, held: TensorSpan | None, parts: list[_Part]) -> Fate:
    if all(part.base_start is not None for part in parts):
        stays = held is not None and held.length == tensor.length
        in_place = bool(parts) and parts[0].base_start == tensor.start
        return Fate.UNCHANGED if stays and (in_place or not parts) else Fate.MOVED
    if held is not None or any(not _is_new(part.segment) for part in parts):
        return Fate.CHANGED
    return Fate.ADDED


def _is_new(segment: Segment) -> bool:
    """Whether nothing of the base is in it."""
    return isinstance(segment, (FromChunks, Literal))


def _cost(parts: Iterable[_Part]) -> int:
    """Chunks by their bytes; a payload by the share of its segment that lies here."""
    return sum(
        part.length
        if isinstance(part.segment, FromChunks)
        else -(-part.segment.payload_bytes * part.length // part.segment.length)
        for part in parts
    )


def _kinds(parts: Iterable[_Part]) -> tuple[str, ...]:
    kinds = {str(part.segment.__struct_config__.tag) for part in parts}
    return tuple(sorted(kinds))


def _removed(tensor: TensorSpan) -> TensorChange:
    return TensorChange(
        name=tensor.name,
        element_type=tensor.element_type,
        shape=tensor.shape,
        size_bytes=tensor.length,
        fate=Fate.REMOVED,
        cost_bytes=0,
        by=(),
    )


def _between(parts: list[_Part]) -> TensorChange:
    is_kept = all(part.base_start is not None for part in parts)
    return TensorChange(
        name=BETWEEN,
        element_type="",
        shape=(),
        size_bytes=sum(part.length for part in parts),
        fate=Fate.UNCHANGED if is_kept else Fate.CHANGED,
        cost_bytes=_cost(parts),
        by=_kinds(parts),
    )
