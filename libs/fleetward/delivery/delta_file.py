"""Writes a planned delta to a file: payloads first to a scratch file, since the header precedes them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.delivery.adapters import LowRank
from fleetward.delivery.apply import Applier
from fleetward.delivery.delta import (
    MAX_SEGMENTS,
    Delta,
    DeltaHeader,
    Segment,
    decode_delta,
    encode_header,
)
from fleetward.delivery.delta_plan import Planner, Side
from fleetward.delivery.errors import DeltaError

COPY_BYTES = 4 * 1024 * 1024


class WrittenDelta(Struct, frozen=True):
    """A delta file: what is in it, its own digest and its size."""

    delta: Delta
    digest: Digest
    size_bytes: int


def write_delta(
    base: Side, target: Side, path: Path, pairs: Mapping[str, LowRank] | None = None
) -> WrittenDelta:
    """Plan ``target`` from ``base`` and write the delta to ``path``.

    ``pairs``: the adapter that was merged, by module. Memory does not depend on the models' size.
    Raises DeltaError when the delta would break the format's limits, OSError.
    """
    planner = Planner(base, target, pairs or {})
    segments: list[Segment] = []
    with TemporaryFile(dir=path.parent) as scratch:
        for piece in planner.pieces():
            segments.append(piece.segment)
            scratch.write(piece.payload)
            if len(segments) > MAX_SEGMENTS:
                raise DeltaError(f"the delta needs more than {MAX_SEGMENTS} segments.")
        recipes = planner.recipes
        head = encode_header(
            DeltaHeader(
                base=base.digest,
                base_size_bytes=base.size_bytes,
                target=target.digest,
                target_size_bytes=target.size_bytes,
                adapters=tuple(recipes.adapters),
                segments=tuple(segments),
            )
        )
        scratch.seek(0)
        with path.open("wb") as file:
            file.write(head)
            file.writelines(recipes.payloads)
            shutil.copyfileobj(scratch, file, COPY_BYTES)
    return _written(path, head)


def check_delta(written: WrittenDelta, path: Path, base: Side, target: Side) -> None:
    """Apply the delta at ``path`` to ``base``; raises DeltaError when that does not give ``target``."""
    with path.open("rb") as file:

        def read_delta(start: int, length: int) -> bytes:
            file.seek(start)
            return file.read(length)

        applier = Applier(
            written.delta, read_base=base.read, read_delta=read_delta, read_chunks=target.read
        )
        hashed = hashlib.sha256()
        for placed in written.delta.placed():
            hashed.update(applier.bytes_of(placed))
    if hashed.hexdigest() != target.digest.removeprefix("sha256:"):
        raise DeltaError(f"the delta from {base.digest} does not give {target.digest}.")


def _written(path: Path, head: bytes) -> WrittenDelta:
    """The file as a reader sees it, held to the rules that readers hold it to."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(COPY_BYTES):
            hashed.update(block)
        size_bytes = file.tell()
    return WrittenDelta(
        decode_delta(head, size_bytes), Digest(f"sha256:{hashed.hexdigest()}"), size_bytes
    )
