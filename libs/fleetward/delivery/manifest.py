"""The chunk manifest: which chunks, in which packs, are exactly the bytes of one model file.

Layout on the wire, all integers little-endian::

    b"FWCM" | version u32 = 1 | header bytes u32 | header: canonical JSON | table: 36 B a chunk

A table entry is the chunk's SHA-256 (32 B) and its length (u32). The cuts are written down, so a
robot needs no chunker: a parser that cuts badly costs bytes, never correctness.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.delivery.errors import ManifestError

MAGIC = b"FWCM"
FORMAT_VERSION = 1
MAX_CHUNK_BYTES = 1024 * 1024
MAX_PACK_BYTES = 64 * 1024 * 1024
MAX_MODEL_BYTES = 64 * 1024**3
MAX_CHUNKS = 1_000_000
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_TENSORS = 100_000
MAX_RUNS = 100_000
MAX_PACKS = 1_500
"""Enough for MAX_MODEL_BYTES in full packs, and as many links as one answer on the bus carries."""

_PREFIX = struct.Struct("<4sII")
_ENTRY = struct.Struct("<32sI")

MAX_MANIFEST_BYTES = _PREFIX.size + MAX_HEADER_BYTES + _ENTRY.size * MAX_CHUNKS


class TensorSpan(Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor's bytes in the file. element_type: F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL."""

    name: str
    element_type: str
    shape: tuple[int, ...]
    start: int
    length: int


class PackRun(Struct, frozen=True, forbid_unknown_fields=True):
    """``chunks`` consecutive chunks from ``first`` on lie together in ``pack``, from ``offset`` on."""

    first: int
    chunks: int
    pack: Digest
    offset: int


class ManifestHeader(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file is. file_format: safetensors, onnx or opaque."""

    digest: Digest
    size_bytes: int
    file_format: str
    tensors: tuple[TensorSpan, ...] = ()
    runs: tuple[PackRun, ...]


class Chunk(Struct, frozen=True):
    """A piece of the file: its raw SHA-256 (32 bytes), where it starts and how long it is."""

    sha256: bytes
    start: int
    length: int


class PackPlace(Struct, frozen=True):
    """Where a chunk lies among the packs."""

    pack: Digest
    offset: int


class ChunkManifest(Struct, frozen=True):
    """Header and chunks, in the order of the file and without a gap."""

    header: ManifestHeader
    chunks: tuple[Chunk, ...]

    def packs(self) -> tuple[Digest, ...]:
        """Every pack that the file needs, once, in the order of its first use."""
        return tuple(dict.fromkeys(run.pack for run in self.header.runs))

    def places(self) -> Iterator[tuple[Chunk, PackPlace]]:
        """Every chunk with its place, in the order of the file."""
        for run in self.header.runs:
            offset = run.offset
            for chunk in self.chunks[run.first : run.first + run.chunks]:
                yield chunk, PackPlace(run.pack, offset)
                offset += chunk.length


def encode_manifest(manifest: ChunkManifest) -> bytes:
    """The one encoding of a manifest; its SHA-256 names it.

    Raises ManifestError when its tensors and runs take more than MAX_HEADER_BYTES to write down.
    """
    header = msgspec.json.encode(manifest.header, order="deterministic")
    if len(header) > MAX_HEADER_BYTES:
        raise ManifestError(
            f"a header of {len(header)} bytes is over its limit of {MAX_HEADER_BYTES}. Publish a "
            "model with fewer tensors, or with shorter names."
        )
    table = b"".join(_ENTRY.pack(chunk.sha256, chunk.length) for chunk in manifest.chunks)
    return _PREFIX.pack(MAGIC, FORMAT_VERSION, len(header)) + header + table


def decode_manifest(content: bytes) -> ChunkManifest:
    """Read a manifest and hold it to every rule of the format; raises ManifestError.

    Time and memory are bounded by ``len(content)``, whoever wrote it.
    """
    header, table = _split(content)
    manifest = ChunkManifest(header, tuple(_chunks(table)))
    _check_file(manifest)
    _check_tensors(header)
    _check_runs(manifest)
    if encode_manifest(manifest) != content:
        raise ManifestError("the manifest is not in its canonical form. Publish the model again.")
    return manifest


def manifest_digest(content: bytes) -> Digest:
    """The name of an encoded manifest."""
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def _split(content: bytes) -> tuple[ManifestHeader, bytes]:
    if len(content) < _PREFIX.size:
        raise ManifestError(f"a manifest of {len(content)} bytes is cut off.")
    magic, version, header_bytes = _PREFIX.unpack_from(content)
    if magic != MAGIC or version != FORMAT_VERSION:
        raise ManifestError(
            f"this is no chunk manifest of version {FORMAT_VERSION} (it begins {content[:8]!r})."
        )
    end = _PREFIX.size + header_bytes
    if header_bytes > MAX_HEADER_BYTES or end > len(content):
        raise ManifestError(f"its header claims {header_bytes} bytes of {len(content)}.")
    try:
        header = msgspec.json.decode(content[_PREFIX.size : end], type=ManifestHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"the manifest's header cannot be read: {error}.") from error
    return header, content[end:]


def _chunks(table: bytes) -> Iterator[Chunk]:
    if len(table) % _ENTRY.size or len(table) // _ENTRY.size > MAX_CHUNKS:
        raise ManifestError(f"a chunk table of {len(table)} bytes is no whole number of entries.")
    start = 0
    for sha256, length in _ENTRY.iter_unpack(table):
        if not 0 < length <= MAX_CHUNK_BYTES:
            raise ManifestError(f"a chunk of {length} bytes is not 1 to {MAX_CHUNK_BYTES} long.")
        yield Chunk(sha256, start, length)
        start += length


def _check_file(manifest: ChunkManifest) -> None:
    size_bytes = manifest.header.size_bytes
    held = sum(chunk.length for chunk in manifest.chunks)
    if not 0 < size_bytes <= MAX_MODEL_BYTES or held != size_bytes:
        raise ManifestError(f"the chunks hold {held} bytes and the file {size_bytes}.")


def _check_tensors(header: ManifestHeader) -> None:
    _refuse_more(len(header.tensors), MAX_TENSORS, "tensors")
    end = 0
    for tensor in header.tensors:
        if tensor.length < 0 or tensor.start < end:
            raise ManifestError(f"the tensor {tensor.name!r} overlaps another one or is negative.")
        end = tensor.start + tensor.length
    if end > header.size_bytes:
        raise ManifestError(f"a tensor ends at {end}, past the file's {header.size_bytes} bytes.")


def _check_runs(manifest: ChunkManifest) -> None:
    _refuse_more(len(manifest.header.runs), MAX_RUNS, "runs")
    _refuse_more(len(manifest.packs()), MAX_PACKS, "packs")
    following = 0
    for run in manifest.header.runs:
        last = run.first + run.chunks
        if run.first != following or run.chunks < 1 or last > len(manifest.chunks):
            raise ManifestError(f"the runs of chunks do not follow one another at {following}.")
        length = _length(manifest.chunks[run.first : last])
        if run.offset < 0 or run.offset + length > MAX_PACK_BYTES:
            raise ManifestError(f"a run reaches outside a pack's {MAX_PACK_BYTES} bytes.")
        following = last
    if following != len(manifest.chunks):
        raise ManifestError(f"{len(manifest.chunks) - following} chunks lie in no pack.")


def _length(chunks: Iterable[Chunk]) -> int:
    return sum(chunk.length for chunk in chunks)


def _refuse_more(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise ManifestError(f"{count} {what} are more than the {limit} a manifest may hold.")
