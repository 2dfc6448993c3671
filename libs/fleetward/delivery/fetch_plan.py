"""Decides where each byte of a model comes from, and so what an update costs before it moves.

Registry and robot plan with the same functions, so a quote is what a robot then fetches. Steps
make the file in its order; legs group them into ranged GETs of one object each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DeltaOffer
from fleetward.delivery.delta import Copy, Delta, FromChunks, Placed, Recipe
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.manifest import ChunkManifest

MAX_COPIED_WITHIN_LEG_BYTES = 64 * 1024 * 1024
"""More is not copied while a GET is open and nobody reads from it."""


class FromHeld(Struct, frozen=True):
    """``length`` bytes from ``start`` of the file lie in a model that is here, at ``source_start``.

    The source may be the target itself: bytes that occur in it twice move once.
    """

    start: int
    length: int
    source: Digest
    source_start: int


class FromPack(Struct, frozen=True):
    """One chunk, from ``offset`` in a pack."""

    start: int
    length: int
    stored: Digest
    offset: int


class LoadAdapter(Struct, frozen=True):
    """The adapter that the next recipes merge; it makes no bytes itself."""

    start: int
    adapter: int
    stored: Digest
    offset: int
    payload_bytes: int


class FromDelta(Struct, frozen=True):
    """A segment that is computed from the base and its payload."""

    start: int
    length: int
    stored: Digest
    placed: Placed


Step = FromHeld | FromPack | LoadAdapter | FromDelta


class Need(Struct, frozen=True):
    """``length`` bytes of a stored object, from ``offset`` on, that a step has to have."""

    stored: Digest
    offset: int
    length: int


class Leg(Struct, frozen=True):
    """One ranged GET and the steps that its bytes carry; ``need`` None moves nothing."""

    need: Need | None
    steps: tuple[Step, ...]


Held = Mapping[Digest, ChunkManifest]
"""The models that are here whole, by digest."""


def need_of(step: Step) -> Need | None:
    """What a step takes from the network."""
    if isinstance(step, FromPack):
        return Need(step.stored, step.offset, step.length)
    if isinstance(step, LoadAdapter):
        return Need(step.stored, step.offset, step.payload_bytes)
    if isinstance(step, FromDelta) and step.placed.segment.payload_bytes:
        return Need(step.stored, step.placed.payload_start, step.placed.segment.payload_bytes)
    return None


def moved_bytes(steps: Iterable[Step]) -> int:
    """What ``steps`` take from the network together."""
    return sum(need.length for step in steps if (need := need_of(step)) is not None)


def cheapest_offer(
    offers: Iterable[DeltaOffer], held: Collection[Digest], plain_bytes: int
) -> DeltaOffer | None:
    """The delta from a model that is here which moves the least, if that is less than plain chunks."""
    usable = [one for one in offers if one.base in held and one.fetch_bytes < plain_bytes]
    return min(usable, key=lambda one: (one.fetch_bytes, one.stored.digest), default=None)


def plan_chunks(target: ChunkManifest, held: Held, start: int = 0) -> tuple[Step, ...]:
    """Every chunk from ``start`` (a chunk's beginning) on: copied where it is held, else fetched."""
    return tuple(_merged(_Sources(target, held).steps(start, target.header.size_bytes)))


def plan_delta(
    target: ChunkManifest, delta: Delta, stored: Digest, held: Held, start: int = 0
) -> tuple[Step, ...]:
    """The segments of a delta from ``start`` (a chunk's beginning) on; raises DeltaError.

    A segment that ``start`` lies within is made whole: its first bytes are here already.
    """
    _check_fits(target, delta, held)
    return tuple(_merged(_delta_steps(_Sources(target, held), delta, stored, start)))


def legs(steps: Iterable[Step], limit_bytes: int) -> Iterator[Leg]:
    """Group steps: neighbours in one object that begin in one stretch of ``limit_bytes`` share a GET.

    The stretches lie fast in the object, so robots that go on from different places ask for the
    same ranges again soon, and a cache on their site has them. A GET is shorter than its stretch
    and one more need. What is copied on the way goes along.
    """
    need: Need | None = None
    taken: list[Step] = []
    copied_bytes = 0
    for step in steps:
        wanted = need_of(step)
        if wanted is None:
            copied_bytes += step.length if isinstance(step, FromHeld) else 0
        elif need is None:
            copied_bytes = 0
        elif copied_bytes <= MAX_COPIED_WITHIN_LEG_BYTES and _continues(need, wanted, limit_bytes):
            wanted = Need(need.stored, need.offset, need.length + wanted.length)
        else:
            yield Leg(need, tuple(taken))
            taken, copied_bytes = [], 0
        need = wanted or need
        taken.append(step)
    if taken:
        yield Leg(need, tuple(taken))


def _continues(need: Need, wanted: Need, limit_bytes: int) -> bool:
    is_next = (wanted.stored, wanted.offset) == (need.stored, need.offset + need.length)
    return is_next and wanted.offset // limit_bytes == need.offset // limit_bytes


class _Sources:
    """Where each chunk of one file can come from."""

    def __init__(self, target: ChunkManifest, held: Held) -> None:
        self._target = target
        self._chunks = tuple(target.places())
        self._starts = [chunk.start for chunk in target.chunks]
        self._first: dict[bytes, int] = {}
        for chunk in target.chunks:
            self._first.setdefault(chunk.sha256, chunk.start)
        self._held: dict[bytes, tuple[Digest, int]] = {}
        for digest in sorted(held):
            for chunk in held[digest].chunks:
                if chunk.sha256 in self._first:
                    self._held.setdefault(chunk.sha256, (digest, chunk.start))

    def steps(self, start: int, end: int) -> Iterator[Step]:
        """The chunks of [start, end), which begin and end with one; raises DeltaError."""
        first, last = self._index(start), self._index(end)
        for chunk, place in self._chunks[first:last]:
            earlier = self._first[chunk.sha256]
            if chunk.sha256 in self._held:
                yield FromHeld(chunk.start, chunk.length, *self._held[chunk.sha256])
            elif earlier < chunk.start:
                yield FromHeld(chunk.start, chunk.length, self._target.header.digest, earlier)
            else:
                yield FromPack(chunk.start, chunk.length, place.pack, place.offset)

    def _index(self, offset: int) -> int:
        found = bisect_left(self._starts, offset)
        exact = found < len(self._starts) and self._starts[found] == offset
        if not exact and offset != self._target.header.size_bytes:
            raise DeltaError(f"chunks are wanted from byte {offset} on, and none begins there.")
        return found


def _delta_steps(sources: _Sources, delta: Delta, stored: Digest, start: int) -> Iterator[Step]:
    adapter_starts = delta.adapter_starts()
    loaded: int | None = None
    for placed in delta.placed():
        segment, end = placed.segment, placed.start + placed.segment.length
        first = max(start, placed.start)
        if end <= start:
            continue
        if isinstance(segment, Copy):
            source_start = segment.base_start + first - placed.start
            yield FromHeld(first, end - first, delta.header.base, source_start)
        elif isinstance(segment, FromChunks):
            yield from sources.steps(first, end)
        else:
            if isinstance(segment, Recipe) and segment.adapter != loaded:
                loaded = segment.adapter
                yield _load(delta, stored, loaded, adapter_starts[loaded], placed.start)
            yield FromDelta(placed.start, segment.length, stored, placed)


def _merged(steps: Iterable[Step]) -> Iterator[Step]:
    """Copies that continue one another become one."""
    last: FromHeld | None = None
    for step in steps:
        if isinstance(step, FromHeld):
            if last is not None and _follows(last, step):
                last = FromHeld(
                    last.start, last.length + step.length, last.source, last.source_start
                )
                continue
            if last is not None:
                yield last
            last = step
            continue
        if last is not None:
            yield last
            last = None
        yield step
    if last is not None:
        yield last


def _follows(before: FromHeld, after: FromHeld) -> bool:
    return (
        before.source == after.source
        and before.start + before.length == after.start
        and before.source_start + before.length == after.source_start
    )


def _load(delta: Delta, stored: Digest, adapter: int, offset: int, start: int) -> LoadAdapter:
    return LoadAdapter(start, adapter, stored, offset, delta.header.adapters[adapter].payload_bytes)


def _check_fits(target: ChunkManifest, delta: Delta, held: Held) -> None:
    header = delta.header
    base = held.get(header.base)
    if base is None or base.header.size_bytes != header.base_size_bytes:
        raise DeltaError(f"the delta's base {header.base} is not here as the delta describes it.")
    wanted = (target.header.digest, target.header.size_bytes)
    if (header.target, header.target_size_bytes) != wanted:
        raise DeltaError(f"the delta makes {header.target}, not {target.header.digest}.")
