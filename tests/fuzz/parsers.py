"""Every parser that reads what others wrote: it refuses by name or reads, and keeps its promises."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fleetward.delivery.adapters import read_adapter
from fleetward.delivery.apply import Applier
from fleetward.delivery.archive import unpack
from fleetward.delivery.delta import Delta, decode_delta, encode_header
from fleetward.delivery.errors import ArchiveError, DeltaError, LayoutError, ManifestError
from fleetward.delivery.manifest import TensorSpan, decode_manifest, encode_manifest
from fleetward.delivery.onnx_layout import NotOnnxError, onnx_tensors
from fleetward.delivery.packs import StoredChunks, packing_of
from fleetward.delivery.safetensors_layout import (
    looks_like_safetensors,
    safetensors_metadata,
    safetensors_tensors,
)
from fleetward.engines.errors import OnnxFaceError
from fleetward.engines.onnx_face import onnx_face

MAX_APPLIED_BYTES = 1024 * 1024
"""A delta may make more; that takes time without reaching anything new."""


def manifest(content: bytes) -> bool:
    """Whether it is a chunk manifest; then it is packed anew as a publisher does."""
    try:
        read = decode_manifest(content)
    except ManifestError:
        return False
    assert encode_manifest(read) == content
    places = list(read.places())
    assert [chunk for chunk, _ in places] == list(read.chunks)
    assert packing_of(read.chunks, StoredChunks([read])).chunks == read.chunks
    return True


def delta(content: bytes) -> bool:
    """Whether it is a delta; then it is applied to a base of zeros."""
    try:
        read = decode_delta(content, len(content))
    except DeltaError:
        return False
    assert encode_header(read.header) == content[: read.header_bytes]
    if read.header.target_size_bytes <= MAX_APPLIED_BYTES:
        _apply(read, content)
    return True


def _apply(read: Delta, content: bytes) -> None:
    applier = Applier(
        read,
        read_base=lambda start, length: bytes(length),
        read_delta=lambda start, length: content[start : start + length],
        read_chunks=lambda start, length: bytes(length),
    )
    for placed in read.placed():
        try:
            made = applier.bytes_of(placed)
        except DeltaError:
            return
        assert memoryview(made).nbytes == placed.segment.length


def onnx(content: bytes) -> bool:
    """Whether it walks as ONNX; then every tensor lies inside it. Its face is read or refused apart."""
    with suppress(OnnxFaceError):
        face = onnx_face(content)
        assert all(side is None or side > 0 for port in face.inputs for side in port.shape)
    try:
        spans = onnx_tensors(io.BytesIO(content), len(content))
    except NotOnnxError:
        return False
    _expect_inside(spans, content)
    return True


def safetensors(content: bytes) -> bool:
    """Whether it is safetensors; then its tensors leave no hole."""
    file = io.BytesIO(content)
    if not looks_like_safetensors(file, len(content)):
        return False
    try:
        spans = safetensors_tensors(file, len(content))
        safetensors_metadata(file)
    except LayoutError:
        return False
    _expect_inside(spans, content)
    return True


def adapter(content: bytes) -> bool:
    """Whether it is a LoRA adapter in a safetensors file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "adapter"
        path.write_bytes(content)
        try:
            pairs = read_adapter(path, 1.0)
        except (DeltaError, LayoutError):
            return False
    return all(pair.left.shape[1] == pair.right.shape[0] for pair in pairs.values())


def archive(content: bytes) -> bool:
    """Whether it is an exported version; nothing but the model is ever written."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "version.tar"
        path.write_bytes(content)
        try:
            about = unpack(path, Path(folder) / "model")
        except ArchiveError:
            return False
        finally:
            assert {one.name for one in Path(folder).iterdir()} <= {"version.tar", "model"}
        assert (Path(folder) / "model").stat().st_size == about.size_bytes
    return True


def _expect_inside(spans: Sequence[TensorSpan], content: bytes) -> None:
    end = 0
    for span in spans:
        assert span.length >= 0
        assert end <= span.start
        end = span.start + span.length
    assert end <= len(content)


PARSERS: dict[str, Callable[[bytes], bool]] = {
    parser.__name__: parser for parser in (manifest, delta, onnx, safetensors, adapter, archive)
}
