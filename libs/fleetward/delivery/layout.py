"""Where the tensors lie in a model file, whatever its format; nothing of their values is read.

Time and memory are bounded whoever wrote the file: every parser reads headers only, and counts
what it reads against named limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from fleetward.delivery.manifest import TensorSpan
from fleetward.delivery.onnx_layout import NotOnnxError, onnx_tensors
from fleetward.delivery.safetensors_layout import looks_like_safetensors, safetensors_tensors

SAFETENSORS = "safetensors"
ONNX = "onnx"
OPAQUE = "opaque"


class Layout(Struct, frozen=True):
    """A file's format (safetensors, onnx or opaque), its size in bytes, and its tensors by start.

    The spans do not overlap and lie inside the file. What lies between them is the format's own.
    """

    file_format: str
    size_bytes: int
    tensors: tuple[TensorSpan, ...] = ()


def layout_of(path: Path) -> Layout:
    """The layout of the file at ``path``.

    ONNX has no magic number: a file that does not walk as ONNX within the limits is opaque, and
    still every byte of it can be chunked. Raises LayoutError when a file begins as safetensors and
    contradicts itself, OSError when it cannot be read.
    """
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        return _layout(file, size_bytes)


def _layout(file: BinaryIO, size_bytes: int) -> Layout:
    if looks_like_safetensors(file, size_bytes):
        return Layout(SAFETENSORS, size_bytes, safetensors_tensors(file, size_bytes))
    try:
        return Layout(ONNX, size_bytes, onnx_tensors(file, size_bytes))
    except NotOnnxError:
        return Layout(OPAQUE, size_bytes)
