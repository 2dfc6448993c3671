"""Elements as byte planes in zstd, and back within a size that is known beforehand.

The lowest bytes of all elements come first, then the second lowest, and so on: near-constant
exponents and noisy mantissas compress apart. Differences use balanced digits (each byte counts from
-128 to 127), so that a small negative difference has zeros above its lowest byte; unlike zigzag
this costs no pass over the elements when decoding, and 0.7 % more bytes at worst.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fleetward.delivery.frames import SPARSE, Content, compressed, decompress_into, decompressor

BLOCK_ELEMENTS = 64 * 1024
"""Elements worked on at once: every array of them stays in a core's cache."""

UNSIGNED: dict[int, np.dtype[Any]] = {  # Any: numpy types a width only when it is written out
    width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)
}
Elements: TypeAlias = NDArray[Any]  # Any: unsigned integers of 1, 2, 4 or 8 bytes, by their dtype


class Scratch:
    """Memory that segments are made in, one after the other, by one thread at a time.

    What is made lies in it until the next one is made. Memory that is fresh for every segment costs
    more than the arithmetic: the kernel has to clear its pages. It grows to the largest segment.
    """

    def __init__(self) -> None:
        self._planes = bytearray()
        self._result = bytearray()
        self.decompressor = decompressor()

    def planes(self, size_bytes: int) -> memoryview:
        """``size_bytes`` to decompress into."""
        self._planes = _at_least(self._planes, size_bytes)
        return memoryview(self._planes)[:size_bytes]

    def result(self, size_bytes: int) -> memoryview:
        """``size_bytes`` for what is made."""
        self._result = _at_least(self._result, size_bytes)
        return memoryview(self._result)[:size_bytes]


def elements_of(content: Content, element_bytes: int) -> Elements:
    """The bit patterns of ``content``'s elements, without a copy."""
    return np.frombuffer(content, dtype=UNSIGNED[element_bytes])


def compress_differences(differences: Elements) -> bytes:
    """Differences modulo 2^bits, as planes of balanced digits."""
    count, element_bytes = len(differences), differences.dtype.itemsize
    planes = np.empty((element_bytes, count), np.uint8)
    rest = differences.view(f"<i{element_bytes}").copy()
    for plane in planes[:-1]:
        np.copyto(plane, rest, casting="unsafe")
        rest -= plane.view(np.int8)
        rest >>= 8
    np.copyto(planes[-1], rest, casting="unsafe")
    lower = compressed(planes[:-1].data) if element_bytes > 1 else b""
    return lower + compressed(planes[-1].data, SPARSE)


def compress_values(values: Elements) -> bytes:
    """Values as planes of their bytes."""
    planes = values.view(np.uint8).reshape(len(values), values.dtype.itemsize)
    return compressed(np.ascontiguousarray(planes.T).data)


def add_differences(payload: Content, base: Elements, scratch: Scratch) -> memoryview:
    """``base`` plus the differences in ``payload``, modulo 2^bits; raises DeltaError."""
    signed = np.dtype(f"<i{base.dtype.itemsize}")
    joined = _joined(payload, len(base), signed, scratch)
    for start in range(0, len(base), BLOCK_ELEMENTS):
        block = joined[start : start + BLOCK_ELEMENTS]
        block += base[start : start + BLOCK_ELEMENTS].view(signed)
    return joined.view(np.uint8).data


def values_of(payload: Content, count: int, element_bytes: int, scratch: Scratch) -> memoryview:
    """What ``compress_values`` was given; raises DeltaError."""
    return _joined(payload, count, UNSIGNED[element_bytes], scratch).view(np.uint8).data


def _joined(payload: Content, count: int, element: np.dtype[Any], scratch: Scratch) -> Elements:
    """The payload's digits as elements: each is the sum of its digits times 256^plane."""
    size_bytes = count * element.itemsize
    held = scratch.planes(size_bytes)
    decompress_into(payload, held, scratch.decompressor)
    planes = np.frombuffer(held, f"{element.kind}1").reshape(element.itemsize, count)
    joined = np.frombuffer(scratch.result(size_bytes), element)
    for start in range(0, count, BLOCK_ELEMENTS):
        block = joined[start : start + BLOCK_ELEMENTS]
        digits = planes[:, start : start + BLOCK_ELEMENTS]
        if len(digits) == 1:
            np.copyto(block, digits[0])
            continue
        np.multiply(digits[-1], 256, out=block, dtype=element)
        for plane in digits[-2:0:-1]:
            block += plane
            block *= 256
        block += digits[0]
    return joined


def _at_least(held: bytearray, size_bytes: int) -> bytearray:
    return held if len(held) >= size_bytes else bytearray(size_bytes)
