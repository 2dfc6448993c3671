"""fp16, bf16 and fp32 bytes as numbers and back; rounds to nearest, ties to even, on every CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleetward.delivery.frames import Content

Floats = NDArray[np.float32]


def floats_of(content: Content, element_type: str) -> Floats:
    """The numbers in ``content``, exactly. element_type: F16, BF16 or F32."""
    if element_type == "BF16":
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view(np.float32)
    return np.frombuffer(content, "<f2" if element_type == "F16" else "<f4").astype(np.float32)


def rounded(numbers: Floats, element_type: str) -> memoryview:
    """The bytes of ``numbers``, which must not be NaN, as ``element_type``; may round to infinity."""
    if element_type == "F32":
        return _bytes_of(np.ascontiguousarray(numbers, "<f4"))
    if element_type == "F16":
        with np.errstate(over="ignore"):
            return _bytes_of(numbers.astype("<f2"))
    bits = numbers.view(np.uint32)
    nearest = bits + (((bits >> 16) & 1) + 0x7FFF)
    nearest >>= 16
    return _bytes_of(nearest.astype("<u2"))


def _bytes_of(numbers: NDArray[np.generic]) -> memoryview:
    return numbers.reshape(-1).view(np.uint8).data
