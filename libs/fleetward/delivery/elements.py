"""What one element of a tensor is called and how many bits of the file it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

ELEMENT_BITS = {
    **{"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "C128": 128},
    **{"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4},
    **{"I64": 64, "I32": 32, "I16": 16, "I8": 8, "I4": 4},
    **{"U64": 64, "U32": 32, "U16": 16, "U8": 8, "U4": 4, "BOOL": 8},
}
"""Bits by element type, by safetensors' names; both formats' types are written in these."""

MAX_RANK = 64
MAX_DIMENSION = 2**63 - 1


def bytes_of(element_type: str, shape: Sequence[int]) -> int | None:
    """How many bytes a packed tensor takes; None when its type or its shape is not one we know."""
    bits = ELEMENT_BITS.get(element_type)
    if bits is None or len(shape) > MAX_RANK:
        return None
    if not all(0 <= size <= MAX_DIMENSION for size in shape):
        return None
    return (math.prod(shape) * bits + 7) // 8
