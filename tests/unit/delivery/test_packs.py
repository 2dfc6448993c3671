"""What is stored stays where it is; the rest fills packs, and the runs find every byte again."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.contracts.ids import Digest
from fleetward.delivery import packs
from fleetward.delivery.manifest import (
    MAX_PACK_BYTES,
    Chunk,
    ChunkManifest,
    ManifestHeader,
    PackRun,
    decode_manifest,
    encode_manifest,
)
from fleetward.delivery.packs import KEPT_FROM_BYTES, StoredChunks, packing_of
from tests.unit.delivery.model_files import (
    chunked,
    onnx_model,
    packed,
    safetensors,
    tensors,
)

MIB = 1024 * 1024


def chunks_of(*contents: tuple[str, int]) -> tuple[Chunk, ...]:
    """Chunks of these lengths; the same name stands for the same bytes."""
    chunks, start = [], 0
    for name, length in contents:
        sha256 = hashlib.sha256(f"{name}/{length}".encode()).digest()
        chunks.append(Chunk(sha256, start, length))
        start += length
    return tuple(chunks)


def with_runs(
    digest: Digest, chunks: tuple[Chunk, ...], runs: tuple[PackRun, ...]
) -> ChunkManifest:
    """The manifest of a file without tensors."""
    size_bytes = sum(chunk.length for chunk in chunks)
    header = ManifestHeader(digest=digest, size_bytes=size_bytes, file_format="opaque", runs=runs)
    return ChunkManifest(header, chunks)


def stored_in_packs(chunks: tuple[Chunk, ...]) -> StoredChunks:
    """These chunks, stored by an earlier version."""
    packing = packing_of(chunks, StoredChunks())
    names = [Digest(f"old {number}") for number in range(len(packing.new_packs))]
    return StoredChunks([with_runs(Digest("old"), chunks, packing.runs(names))])


def test_a_first_version_is_one_run_per_pack() -> None:
    packing = packing_of(chunks_of(*((str(n), MIB) for n in range(130))), StoredChunks())

    assert [pack.size_bytes for pack in packing.new_packs] == [64 * MIB, 64 * MIB, 2 * MIB]
    assert [run.chunks for run in packing.runs([Digest("a"), Digest("b"), Digest("c")])] == [
        *(64, 64, 2)
    ]


def test_only_what_changed_is_stored_again(tmp_path: Path) -> None:
    held = tensors(10, MIB)
    _, first = packed(chunked(safetensors(held), tmp_path / "a"))
    changed = [*held[:3], tensors(1, MIB, seed=2)[0], *held[4:]]

    packing, second = packed(chunked(safetensors(changed), tmp_path / "b"), StoredChunks([first]))

    header, tensor = packing.new_packs[0].chunks
    assert (len(packing.new_packs), tensor.length) == (1, MIB)
    assert header.start == 0
    assert len(second.header.runs) == 4
    assert set(second.packs()) == {*first.packs(), second.header.runs[0].pack}


def test_the_same_bytes_again_store_nothing(tmp_path: Path) -> None:
    file = chunked(onnx_model(tensors(5, MIB)).SerializeToString(), tmp_path / "a")
    _, first = packed(file)

    packing, second = packed(file, StoredChunks([first]))

    assert packing.new_packs == ()
    assert second == first


def test_a_small_chunk_is_stored_again_rather_than_fetched_by_a_range_of_its_own() -> None:
    small = KEPT_FROM_BYTES - 1
    old = chunks_of(("a", MIB), ("small", small), ("b", MIB))
    stored = stored_in_packs(old)

    packing = packing_of(chunks_of(("new", MIB), ("small", small), ("b", MIB)), stored)

    assert [chunk.length for chunk in packing.new_packs[0].chunks] == [MIB, small]
    assert len(packing.runs([Digest("n")])) == 2


def test_bytes_that_come_twice_are_stored_once() -> None:
    packing = packing_of(chunks_of(("zeros", MIB), ("a", MIB), ("zeros", MIB)), StoredChunks())

    assert packing.new_packs[0].size_bytes == 2 * MIB


def test_a_file_scattered_over_too_many_runs_is_packed_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packs, "MAX_RUNS", 10)
    old = chunks_of(*((str(n), MIB) for n in range(30)))
    stored = stored_in_packs(old)
    mixed = chunks_of(*((str(n) if n % 2 else f"new {n}", MIB) for n in range(30)))

    packing = packing_of(mixed, stored)

    assert [pack.size_bytes for pack in packing.new_packs] == [30 * MIB]


@given(st.data())
def test_every_byte_is_found_again_from_packs_alone(data: st.DataObject) -> None:
    sizes = st.integers(1, 3 * KEPT_FROM_BYTES)
    pool = data.draw(st.lists(sizes, min_size=1, max_size=30))
    contents = [random.Random(n).randbytes(size) for n, size in enumerate(pool)]
    held: dict[Digest, bytes] = {}
    stored = StoredChunks()
    for _ in range(3):
        picked = [
            contents[n]
            for n in data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=1, max_size=40))
        ]
        chunks, start = [], 0
        for content in picked:
            chunks.append(Chunk(hashlib.sha256(content).digest(), start, len(content)))
            start += len(content)
        whole = b"".join(picked)
        packing = packing_of(chunks, stored)
        names = []
        for pack in packing.new_packs:
            content = b"".join(whole[c.start : c.start + c.length] for c in pack.chunks)
            assert len(content) <= MAX_PACK_BYTES
            names.append(Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"))
            held[names[-1]] = content
        digest = Digest(f"sha256:{hashlib.sha256(whole).hexdigest()}")
        manifest = with_runs(digest, tuple(chunks), packing.runs(names))
        assert decode_manifest(encode_manifest(manifest)) == manifest
        rebuilt = b"".join(
            held[place.pack][place.offset : place.offset + chunk.length]
            for chunk, place in manifest.places()
        )
        assert rebuilt == whole
        stored = StoredChunks([manifest])
