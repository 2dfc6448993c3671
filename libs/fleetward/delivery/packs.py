"""Decides which chunks are stored anew, in which packs, and where every chunk is then found.

Chunks are known by their SHA-256 alone. A pack is written once and named by its own digest, which
is known only when its bytes are: so packs are numbered here, and named when the runs are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, structs

from fleetward.contracts.ids import Digest
from fleetward.delivery.manifest import (
    MAX_PACK_BYTES,
    MAX_PACKS,
    MAX_RUNS,
    Chunk,
    ChunkManifest,
    PackPlace,
    PackRun,
)

KEPT_FROM_BYTES = 4 * 1024
"""A smaller chunk that stands elsewhere is stored again: a range of its own would cost more."""


class NewPlace(Struct, frozen=True):
    """Where a chunk will lie: ``number`` counts the new packs from 0."""

    number: int
    offset: int


class NewPack(Struct, frozen=True):
    """The chunks of one new pack, in its order."""

    chunks: tuple[Chunk, ...]

    @property
    def size_bytes(self) -> int:
        """At most MAX_PACK_BYTES."""
        return sum(chunk.length for chunk in self.chunks)


class Packing(Struct, frozen=True):
    """Where each chunk of a file lies, in the file's order, and what is to be stored for that."""

    chunks: tuple[Chunk, ...]
    places: tuple[PackPlace | NewPlace, ...]
    new_packs: tuple[NewPack, ...]

    def runs(self, names: Sequence[Digest]) -> tuple[PackRun, ...]:
        """The runs of a manifest, when ``names`` are the new packs' digests."""
        named = (
            PackPlace(names[place.number], place.offset) if isinstance(place, NewPlace) else place
            for place in self.places
        )
        return tuple(_joined(zip(self.chunks, named, strict=True)))


class StoredChunks:
    """Which chunks lie in packs already, by the manifests that were read."""

    def __init__(self, manifests: Iterable[ChunkManifest] = ()) -> None:
        self._first: dict[bytes, PackPlace] = {}
        self._at: dict[PackPlace, bytes] = {}
        for manifest in manifests:
            for chunk, place in manifest.places():
                self._first.setdefault(chunk.sha256, place)
                self._at[place] = chunk.sha256

    def place_of(self, chunk: Chunk, following: PackPlace | None) -> PackPlace | None:
        """Where ``chunk`` lies, at ``following`` if it can be; None when it must be stored."""
        if following is not None and self._at.get(following) == chunk.sha256:
            return following
        worth_a_range = chunk.length >= KEPT_FROM_BYTES or chunk.start == 0
        return self._first.get(chunk.sha256) if worth_a_range else None


def packing_of(chunks: Sequence[Chunk], stored: StoredChunks) -> Packing:
    """Keep what is stored, pack the rest in the file's order.

    When that would scatter the file over more packs or runs than a manifest may hold, all of it is
    packed anew.
    """
    packing = _packed(chunks, stored)
    names = [Digest(str(number)) for number in range(len(packing.new_packs))]
    runs = packing.runs(names)
    if len(runs) > MAX_RUNS or len({run.pack for run in runs}) > MAX_PACKS:
        return _packed(chunks, StoredChunks())
    return packing


def _packed(chunks: Sequence[Chunk], stored: StoredChunks) -> Packing:
    places: list[PackPlace | NewPlace] = []
    packer = _Packer()
    following: PackPlace | None = None
    for chunk in chunks:
        kept = stored.place_of(chunk, following)
        places.append(kept or packer.place_of(chunk))
        following = structs.replace(kept, offset=kept.offset + chunk.length) if kept else None
    return Packing(tuple(chunks), tuple(places), packer.packs())


class _Packer:
    """Fills packs one after the other; a chunk that comes again is stored once."""

    def __init__(self) -> None:
        self._packs: list[list[Chunk]] = []
        self._filled = MAX_PACK_BYTES
        self._places: dict[bytes, NewPlace] = {}

    def place_of(self, chunk: Chunk) -> NewPlace:
        again = self._places.get(chunk.sha256)
        if again is not None and chunk.length >= KEPT_FROM_BYTES:
            return again
        if self._filled + chunk.length > MAX_PACK_BYTES:
            self._packs.append([])
            self._filled = 0
        place = NewPlace(len(self._packs) - 1, self._filled)
        self._packs[-1].append(chunk)
        self._filled += chunk.length
        self._places.setdefault(chunk.sha256, place)
        return place

    def packs(self) -> tuple[NewPack, ...]:
        return tuple(NewPack(tuple(chunks)) for chunks in self._packs)


def _joined(placed: Iterable[tuple[Chunk, PackPlace]]) -> Iterator[PackRun]:
    """Runs as long as chunks follow one another in the same pack."""
    run: PackRun | None = None
    end = 0
    for index, (chunk, place) in enumerate(placed):
        if run is not None and place == PackPlace(run.pack, end):
            run = structs.replace(run, chunks=run.chunks + 1)
        else:
            if run is not None:
                yield run
            run = PackRun(index, 1, place.pack, place.offset)
        end = place.offset + chunk.length
    if run is not None:
        yield run
