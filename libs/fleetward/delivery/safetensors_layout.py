"""Reads a safetensors header: which tensor's bytes lie where, and what the file says of itself.

The format (https://huggingface.co/docs/safetensors): ``header bytes u64 little-endian | header:
JSON | tensors``. Offsets count from the end of the header; tensors leave no hole and no overlap.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec
from msgspec import Raw, Struct

from fleetward.delivery.elements import bytes_of
from fleetward.delivery.errors import LayoutError
from fleetward.delivery.manifest import MAX_TENSORS, TensorSpan

MAX_HEADER_BYTES = 32 * 1024 * 1024
"""Room for MAX_TENSORS entries; the format itself allows 100 MB."""
METADATA = "__metadata__"

_LENGTH = struct.Struct("<Q")


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def looks_like_safetensors(file: BinaryIO, size_bytes: int) -> bool:
    """Whether the file begins with a length that fits into it and a JSON object."""
    file.seek(0)
    start = file.read(_LENGTH.size + 1)
    if len(start) <= _LENGTH.size or start[_LENGTH.size :] != b"{":
        return False
    (header_bytes,) = _LENGTH.unpack(start[: _LENGTH.size])
    return bool(_LENGTH.size + header_bytes <= size_bytes)


def safetensors_tensors(file: BinaryIO, size_bytes: int) -> tuple[TensorSpan, ...]:
    """Every tensor, in the order of the file; raises LayoutError."""
    entries, data_start = _header(file)
    entries.pop(METADATA, None)
    if len(entries) > MAX_TENSORS:
        raise LayoutError(
            f"the safetensors header names {len(entries)} tensors; {MAX_TENSORS} are the most. "
            "Join small tensors, or publish the model in parts."
        )
    spans = sorted(
        (_span(name, entry, data_start) for name, entry in entries.items()),
        key=lambda span: (span.start, span.length),
    )
    _refuse_holes(spans, data_start, size_bytes)
    return tuple(spans)


def safetensors_metadata(file: BinaryIO) -> dict[str, str]:
    """What the file says of itself under ``__metadata__``; raises LayoutError."""
    entries, _ = _header(file)
    raw = entries.get(METADATA)
    if raw is None:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LayoutError(f"the safetensors metadata cannot be read: {error}.") from error


def _header(file: BinaryIO) -> tuple[dict[str, Raw], int]:
    file.seek(0)
    (header_bytes,) = _LENGTH.unpack(file.read(_LENGTH.size))
    if header_bytes > MAX_HEADER_BYTES:
        raise LayoutError(
            f"the safetensors header claims {header_bytes} bytes; {MAX_HEADER_BYTES} are the most."
        )
    header = file.read(header_bytes)
    if len(header) < header_bytes:
        raise LayoutError(f"the safetensors header ends after {len(header)} of {header_bytes}.")
    try:
        entries = msgspec.json.decode(header, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LayoutError(f"the safetensors header cannot be read: {error}.") from error
    return entries, _LENGTH.size + header_bytes


def _span(name: str, raw: Raw, data_start: int) -> TensorSpan:
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LayoutError(f"the tensor {name[:100]!r} cannot be read: {error}.") from error
    begin, end = entry.data_offsets
    if bytes_of(entry.dtype, entry.shape) != end - begin:
        raise LayoutError(
            f"the tensor {name[:100]!r} has {end - begin} bytes, which no {entry.dtype[:20]} of "
            f"shape {entry.shape[:8]} takes."
        )
    return TensorSpan(name, entry.dtype, entry.shape, data_start + begin, end - begin)


def _refuse_holes(spans: list[TensorSpan], data_start: int, size_bytes: int) -> None:
    following = data_start
    for span in spans:
        if span.start != following:
            raise LayoutError(
                f"the tensor {span.name[:100]!r} begins at {span.start}, where {following} follows: "
                "tensors may neither overlap nor leave a hole."
            )
        following += span.length
    if following != size_bytes:
        raise LayoutError(f"the tensors end at {following}, the file at {size_bytes}.")
