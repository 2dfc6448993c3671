"""A chunk manifest says everything once, in one form, and cannot point outside what it describes."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleetward.contracts.ids import Digest
from fleetward.delivery import manifest as manifest_module
from fleetward.delivery.errors import ManifestError
from fleetward.delivery.manifest import (
    MAX_CHUNK_BYTES,
    MAX_PACK_BYTES,
    Chunk,
    ChunkManifest,
    ManifestHeader,
    PackPlace,
    PackRun,
    TensorSpan,
    decode_manifest,
    encode_manifest,
    manifest_digest,
)
from tests.unit.delivery.model_files import chunked, packed, safetensors, tensors

PACK = Digest("sha256:" + "a" * 64)
OTHER = Digest("sha256:" + "b" * 64)
CHUNKS = tuple(Chunk(bytes([n]) * 32, n * 100, 100) for n in range(4))
RUNS = (PackRun(0, 3, PACK, 0), PackRun(3, 1, OTHER, 50))
HEADER = ManifestHeader(
    digest=Digest("sha256:" + "c" * 64),
    size_bytes=400,
    file_format="safetensors",
    tensors=(TensorSpan("a", "U8", (100,), 100, 100), TensorSpan("b", "F16", (50,), 200, 100)),
    runs=RUNS,
)
GOOD = ChunkManifest(HEADER, CHUNKS)


def test_a_manifest_comes_back_as_it_went(tmp_path: Path) -> None:
    _, manifest = packed(chunked(safetensors(tensors(9, 70_000)), tmp_path / "m"))

    for each in (GOOD, manifest):
        assert decode_manifest(encode_manifest(each)) == each


def test_each_chunk_has_its_place() -> None:
    assert [place for _, place in GOOD.places()] == [
        *(PackPlace(PACK, 0), PackPlace(PACK, 100), PackPlace(PACK, 200), PackPlace(OTHER, 50))
    ]
    assert GOOD.packs() == (PACK, OTHER)


def test_its_name_is_its_bytes_digest() -> None:
    assert manifest_digest(b"") == (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def with_header(**changes: object) -> ChunkManifest:
    return ChunkManifest(structs.replace(HEADER, **changes), CHUNKS)


def with_runs(*runs: PackRun) -> ChunkManifest:
    return with_header(runs=runs)


def with_tensors(*spans: tuple[int, int]) -> ChunkManifest:
    return with_header(tensors=tuple(TensorSpan("t", "U8", (1,), *span) for span in spans))


WRONG = {
    "size smaller": with_header(size_bytes=399),
    "size larger": with_header(size_bytes=401),
    "size 2^63": with_header(size_bytes=2**63),
    "nothing": ChunkManifest(structs.replace(HEADER, size_bytes=0, runs=(), tensors=()), ()),
    "tensors overlap": with_tensors((0, 100), (99, 10)),
    "tensors out of order": with_tensors((100, 10), (0, 10)),
    "negative start": with_tensors((-1, 10)),
    "negative length": with_tensors((10, -5)),
    "tensor past the end": with_tensors((390, 11)),
    "tensor at 2^63": with_tensors((2**63 - 1, 1)),
    "no runs": with_runs(),
    "chunk in no pack": with_runs(PackRun(0, 3, PACK, 0)),
    "runs overlap": with_runs(PackRun(0, 3, PACK, 0), PackRun(2, 2, PACK, 0)),
    "runs leave a gap": with_runs(PackRun(0, 2, PACK, 0), PackRun(3, 1, PACK, 0)),
    "run of nothing": with_runs(PackRun(0, 0, PACK, 0), PackRun(0, 4, PACK, 0)),
    "run of a negative count": with_runs(PackRun(0, -1, PACK, 0)),
    "run past the chunks": with_runs(PackRun(0, 5, PACK, 0)),
    "run of 2^63 chunks": with_runs(PackRun(0, 2**63, PACK, 0)),
    "negative offset": with_runs(PackRun(0, 4, PACK, -1)),
    "offset 2^63": with_runs(PackRun(0, 4, PACK, 2**63)),
    "outside a pack": with_runs(PackRun(0, 4, PACK, MAX_PACK_BYTES - 399)),
    "no pack": with_runs(PackRun(0, 4, Digest("../../etc/passwd"), 0)),
    "no digest": with_header(digest=Digest("sha256:0")),
    "empty chunk": ChunkManifest(HEADER, (*CHUNKS[:3], Chunk(bytes(32), 300, 0), CHUNKS[3])),
    "chunk over its limit": ChunkManifest(
        structs.replace(HEADER, size_bytes=400 + MAX_CHUNK_BYTES),
        (*CHUNKS[:3], Chunk(bytes(32), 300, 100 + MAX_CHUNK_BYTES)),
    ),
}


@pytest.mark.parametrize("manifest", WRONG.values(), ids=WRONG)
def test_what_contradicts_itself_is_refused(manifest: ChunkManifest) -> None:
    with pytest.raises(ManifestError):
        decode_manifest(encode_manifest(manifest))


def header_text() -> bytes:
    return msgspec.json.encode(HEADER, order="deterministic")


def of_header(text: bytes, claimed: int | None = None) -> bytes:
    """A manifest of GOOD's chunks under another header."""
    whole = encode_manifest(GOOD)
    table = whole[len(whole) - 36 * len(CHUNKS) :]
    length = len(text) if claimed is None else claimed
    return struct.pack("<4sII", b"FWCM", 1, length) + text + table


def reordered() -> bytes:
    """The header with its fields from last to first."""
    fields = msgspec.json.decode(header_text())
    return msgspec.json.encode(dict(reversed(fields.items())))


BAD_FORM = {
    "nothing": b"",
    "another magic": b"FWDL" + encode_manifest(GOOD)[4:],
    "another version": b"FWCM\x02" + encode_manifest(GOOD)[5:],
    "spaces": of_header(header_text().replace(b":", b": ")),
    "another order": of_header(reordered()),
    "an unknown field": of_header(header_text()[:-1] + b',"z":1}'),
    "a field twice": of_header(header_text()[:-1] + b',"size_bytes":400}'),
    "no UTF-8": of_header(header_text().replace(b'"a"', b'"\xff"')),
    "deep nesting": of_header(b'{"a":' * 100_000),
    "a header of 4 GiB": of_header(header_text(), 2**32 - 1),
    "bytes behind it": encode_manifest(GOOD) + b"x",
    "an entry behind it": encode_manifest(GOOD) + bytes(36),
}


@pytest.mark.parametrize("content", BAD_FORM.values(), ids=BAD_FORM)
def test_there_is_one_form_only(content: bytes) -> None:
    with pytest.raises(ManifestError):
        decode_manifest(content)


@pytest.mark.parametrize("limit", ["MAX_TENSORS", "MAX_RUNS", "MAX_PACKS", "MAX_CHUNKS"])
def test_more_than_a_limit_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, limit, 1)

    with pytest.raises(ManifestError):
        decode_manifest(encode_manifest(GOOD))


def test_no_manifest_is_written_that_could_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "MAX_HEADER_BYTES", 100)

    with pytest.raises(ManifestError, match="over its limit of 100"):
        encode_manifest(GOOD)


_WHOLE = encode_manifest(GOOD)


@given(st.integers(0, len(_WHOLE) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(ManifestError):
        decode_manifest(_WHOLE[:length])


@given(st.integers(0, 8 * len(_WHOLE) - 1))
def test_a_flipped_bit_is_refused_or_another_manifest(bit: int) -> None:
    content = bytearray(_WHOLE)
    content[bit // 8] ^= 1 << bit % 8
    try:
        decoded = decode_manifest(bytes(content))
    except ManifestError:
        return
    assert decoded != GOOD
    assert encode_manifest(decoded) == bytes(content)


@given(st.binary(max_size=500), st.booleans())
def test_no_bytes_break_the_decoder(content: bytes, with_magic: bool) -> None:
    if with_magic:
        content = struct.pack("<4sII", b"FWCM", 1, len(content) // 2) + content
    with pytest.raises(ManifestError):
        decode_manifest(content)
