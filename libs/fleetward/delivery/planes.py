"""Elements as byte planes in one zstd frame, and back within a size that is known beforehand.

The lowest bytes of all elements come first, then the second lowest, and so on: near-constant
exponents and noisy mantissas compress apart. Differences use balanced digits (each byte counts from
-128 to 127), so that a small negative difference has zeros above its lowest byte; unlike zigzag
this costs no pass over the elements when decoding, and 0.7 % more bytes at worst.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import zstandard
from numpy.typing import NDArray

from fleetward.delivery.errors import DeltaError

LEVEL = 1
MAX_WINDOW_BYTES = 8 * 1024 * 1024
BLOCK_ELEMENTS = 64 * 1024
"""Elements worked on at once: every array of them stays in a core's cache."""

UNSIGNED: dict[int, np.dtype[Any]] = {  # Any: numpy types a width only when it is written out
    width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)
}
Content: TypeAlias = bytes | bytearray | memoryview
Elements: TypeAlias = NDArray[
    Any
]  # Any: unsigned integers of 1, 2, 4 or 8 bytes, known by their dtype


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
    return compressed(planes.data)


def compress_values(values: Elements) -> bytes:
    """Values as planes of their bytes."""
    planes = values.view(np.uint8).reshape(len(values), values.dtype.itemsize)
    return compressed(np.ascontiguousarray(planes.T).data)


def add_differences(payload: Content, base: Elements) -> memoryview:
    """``base`` plus the differences in ``payload``, modulo 2^bits; raises DeltaError."""
    result = _joined(_planes(payload, len(base), base.dtype.itemsize, np.int8))
    elements = result.view(base.dtype)
    elements += base
    return elements.view(np.uint8).data


def values_of(payload: Content, count: int, element_bytes: int) -> memoryview:
    """What ``compress_values`` was given; raises DeltaError."""
    result = _joined(_planes(payload, count, element_bytes, np.uint8))
    return result.view(np.uint8).data


def compressed(content: Content) -> bytes:
    """One zstd frame that states its size."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(content)


def decompressed(payload: Content, length: int) -> bytes:
    """The ``length`` bytes of one zstd frame and nothing else; raises DeltaError.

    A frame that states another size, or states it and holds more, is refused: it never takes more
    memory than ``length`` and a window of MAX_WINDOW_BYTES.
    """
    try:
        stated = zstandard.frame_content_size(payload)
        if stated != length:
            raise DeltaError(f"a payload states {stated} bytes where {length} belong.")
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        content = reader.decompress(payload, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DeltaError(f"a payload is no sound zstd frame: {error}.") from error
    if len(content) != length:
        raise DeltaError(f"a payload holds {len(content)} bytes where {length} belong.")
    return content


def _planes(payload: Content, count: int, element_bytes: int, digit: type[Any]) -> Elements:
    content = decompressed(payload, count * element_bytes)
    return np.frombuffer(content, dtype=digit).reshape(element_bytes, count)


def _joined(planes: Elements) -> Elements:
    """Digits, lowest plane first, as elements: each is the sum of its digits times 256^plane."""
    element = np.dtype(f"<{planes.dtype.kind}{len(planes)}")
    joined = np.empty(planes.shape[1], element)
    for start in range(0, len(joined), BLOCK_ELEMENTS):
        block = joined[start : start + BLOCK_ELEMENTS]
        digits = planes[:, start : start + BLOCK_ELEMENTS]
        np.copyto(block, digits[-1])
        for plane in digits[-2::-1]:
            np.multiply(block, 256, out=block)
            np.add(block, plane, out=block)
    return joined
