"""Tensor bytes as integer differences from the base's bit patterns: exact, whatever the numbers.

A small change of a float changes its bit pattern, read as an integer, by a small number: that
difference compresses where the floats do not. NaN, infinities and -0.0 are bit patterns like any.
"""

from __future__ import annotations

import numpy as np

from fleetward.delivery.elements import ELEMENT_BITS
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.frames import Content
from fleetward.delivery.planes import (
    Scratch,
    add_differences,
    compress_differences,
    compress_values,
    elements_of,
    values_of,
)

_WIDTHS = (1, 2, 4, 8)


def element_bytes_of(element_type: str, length: int) -> int:
    """How wide the elements of ``length`` bytes are; 1 when they are not of 1, 2, 4 or 8 bytes."""
    width = ELEMENT_BITS.get(element_type, 8) // 8
    return width if width in _WIDTHS and length % width == 0 else 1


def encode_difference(target: Content, base: Content, element_bytes: int) -> bytes:
    """The payload that makes ``target`` out of ``base``, both of the same length."""
    return compress_differences(
        np.subtract(elements_of(target, element_bytes), elements_of(base, element_bytes))
    )


def decode_difference(
    payload: Content, base: Content, element_bytes: int, scratch: Scratch | None = None
) -> memoryview:
    """The bytes that ``payload`` makes out of ``base``, in ``scratch``; raises DeltaError."""
    return add_differences(payload, elements_of(base, element_bytes), scratch or Scratch())


def encode_literal(target: Content, element_bytes: int) -> bytes:
    """The shortest payload for bytes that have no base: planes in zstd, or the bytes themselves."""
    packed = compress_values(elements_of(target, element_bytes))
    plain = bytes(target)
    return packed if len(packed) < len(plain) else plain


def decode_literal(
    payload: Content, length: int, element_bytes: int, scratch: Scratch | None = None
) -> memoryview:
    """The ``length`` bytes in ``payload``, in ``scratch`` or in it itself; raises DeltaError."""
    size_bytes = memoryview(payload).nbytes
    if size_bytes == length:
        return memoryview(payload)
    if size_bytes > length:
        raise DeltaError(f"{size_bytes} bytes of payload make no {length}.")
    return values_of(payload, length // element_bytes, element_bytes, scratch or Scratch())
