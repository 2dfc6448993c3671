"""Bytes moved by each of the updates: ours as delta and as chunks, and every peer's, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.delivery.adapters import read_adapter
from fleetward.delivery.chunking import ChunkedFile, chunk_file
from fleetward.delivery.delta_file import write_delta
from fleetward.delivery.delta_plan import Side, plain_bytes, side_of_file
from fleetward.delivery.manifest import ChunkManifest, ManifestHeader, encode_manifest
from fleetward.delivery.packs import StoredChunks, packing_of
from tests.bench.distribution_models import Update
from tests.bench.distribution_peers import PEERS, MissingPeerError
from tests.bench.measurement import Measurement

MEGABYTE = 1_000_000
SMALLEST_WITHIN = 1.01
SCALE = 1.0

Moved = dict[str, int]
"""Bytes by method; a method that is missing is absent."""


class _Ours(Struct, frozen=True):
    """What moves with us, the target's chunk manifest included."""

    delta: int
    plain: int


def measure(updates: Sequence[Update]) -> list[Measurement]:
    """A row per update and method; the same files are given to each peer once."""
    peers: dict[tuple[Path, Path], Moved] = {}
    missing: dict[str, str] = {}
    rows: list[Measurement] = []
    for update in updates:
        size_bytes = update.target.stat().st_size
        pair = (update.base, update.target)
        if pair not in peers:
            peers[pair] = _peers(update, missing)
            rows += [_row(update, name, moved, size_bytes) for name, moved in peers[pair].items()]
        rows += _our_rows(update, _ours(update), peers[pair], size_bytes)
    return [*rows, *_missing(missing)]


def write_deltas(updates: Sequence[Update]) -> None:
    """Only ours, without a row."""
    for update in updates:
        _ours(update)


def delta_path(update: Update) -> Path:
    """Where the update's delta lies once it was measured."""
    suffix = ".recipe" if update.adapter is not None else ""
    return update.target.with_suffix(f".delta{suffix}")


def _our_rows(update: Update, ours: _Ours, peers: Moved, size_bytes: int) -> Iterator[Measurement]:
    name, smallest = min([*peers.items(), ("our chunks", ours.plain)], key=lambda method: method[1])
    ratio = ours.delta / max(smallest, 1)
    yield _row(update, "our chunks", ours.plain, size_bytes)
    yield _row(update, "OUR DELTA", ours.delta, size_bytes, update.share)
    yield Measurement(
        name=f"{update.name}: our delta against the best peer",
        value=ours.delta / MEGABYTE,
        unit="MB",
        ratio=ratio,
        against=f"{name}, {smallest / MEGABYTE:,.4g} MB",
        goal=f"<= {SMALLEST_WITHIN}x",
        met=ratio <= SMALLEST_WITHIN,
    )


def _row(
    update: Update, method: str, moved_bytes: int, size_bytes: int, share: float | None = None
) -> Measurement:
    return Measurement(
        name=f"{update.name}: {method}",
        value=moved_bytes / MEGABYTE,
        unit="MB",
        ratio=moved_bytes / size_bytes,
        against=f"the whole file, {size_bytes / MEGABYTE:,.4g} MB",
        goal=f"<= {100 * share:g} %" if share is not None else "",
        met=moved_bytes <= share * size_bytes if share is not None else None,
    )


def _ours(update: Update) -> _Ours:
    with opened(update.base) as base, opened(update.target) as target:
        pairs = read_adapter(update.adapter, SCALE) if update.adapter is not None else None
        written = write_delta(base, target, delta_path(update), pairs)
        manifest_bytes = len(encode_manifest(_manifest(target)))
        return _Ours(
            written.delta.fetch_bytes + manifest_bytes, plain_bytes(base, target) + manifest_bytes
        )


@contextmanager
def opened(path: Path) -> Iterator[Side]:
    """A file, cut and hashed, to be planned with."""
    file: ChunkedFile = chunk_file(path)
    with path.open("rb") as content:
        descriptor = content.fileno()
        yield side_of_file(file, lambda start, length: os.pread(descriptor, length, start))


def _manifest(target: Side) -> ChunkManifest:
    """As a registry that holds nothing else would write it."""
    packing = packing_of(target.chunks, StoredChunks())
    names = [Digest(f"sha256:{number:064x}") for number in range(len(packing.new_packs))]
    header = ManifestHeader(
        digest=target.digest,
        size_bytes=target.size_bytes,
        file_format="",
        tensors=target.tensors,
        runs=packing.runs(names),
    )
    return ChunkManifest(header, target.chunks)


def _peers(update: Update, missing: dict[str, str]) -> Moved:
    """What each peer moves; those that are not on this machine are noted in ``missing``."""
    moved: Moved = {}
    for name, peer in PEERS.items():
        try:
            moved[name] = peer(update.base, update.target)
        except MissingPeerError as error:
            missing[name] = str(error)
    return moved


def _missing(reasons: Mapping[str, str]) -> Iterator[Measurement]:
    """A row for each peer that was not measured."""
    for name, how_to_get_it in reasons.items():
        yield Measurement(
            name=f"{name}: not measured", value=0, unit="MB", against=f"missing: {how_to_get_it}"
        )
