"""A tensor's rows after an adapter was merged: ``W + scale * left @ right``, bit for bit anywhere.

Sums of floats depend on their order, and CPUs and libraries differ in it. So the factors are first
rounded to whole numbers of at most (52 - log2 rank) / 2 bits: then every product and every partial
sum is a whole number below 2^53, which float64 holds exactly. Whatever the order, the width of
vectors or fused additions, there is nothing to round, and the fastest way there is gives the same
bits. For ranks to 16 that keeps 24 bits, as fp32 does, of each factor's largest number.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fleetward.delivery.delta import Adapter
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.floats import Floats, floats_of, rounded
from fleetward.delivery.frames import Content

MAX_PRODUCTS = 1 << 18
"""Multiplications handed over at once: below this, OpenBLAS starts no threads of its own."""
MAX_BLOCK_COLUMNS = 1024

Doubles = NDArray[np.float64]


class Factors(Struct, frozen=True, eq=False):
    """An adapter ready to be merged: whole numbers, and what one of their products is worth."""

    left: Doubles
    right: Doubles
    unit: float


def factors_of(adapter: Adapter, content: Content) -> Factors:
    """The factors in an adapter's decompressed payload; raises DeltaError when one is not finite."""
    numbers = floats_of(content, adapter.factor_type)
    split = adapter.rows * adapter.rank
    bits = (52 - (adapter.rank - 1).bit_length()) // 2
    left, left_unit = _whole(numbers[:split], bits)
    right, right_unit = _whole(numbers[split:], bits)
    return Factors(
        left.reshape(adapter.rows, adapter.rank),
        right.reshape(adapter.rank, adapter.columns),
        adapter.scale * (left_unit * right_unit),
    )


def merged(base: Content, adapter: Adapter, factors: Factors, first_row: int) -> memoryview:
    """The rows of ``base``, from ``first_row`` on, with the adapter's added; raises DeltaError.

    Each number is worked out in fp32: the adapter's part is rounded, added, and the sum rounded to
    the adapter's element type.
    """
    numbers = floats_of(base, adapter.element_type).reshape(-1, adapter.columns)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, columns in _blocks(adapter, len(numbers)):
            left = factors.left[first_row + rows.start : first_row + rows.stop]
            change = left @ factors.right[:, columns]
            change *= factors.unit
            numbers[rows, columns] += change.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise DeltaError("merging an adapter gave numbers that are not finite.")
    return rounded(numbers, adapter.element_type)


def _whole(numbers: Floats, bits: int) -> tuple[Doubles, float]:
    """``numbers`` as whole multiples of a power of two, of at most ``bits`` bits, and that power."""
    if not np.isfinite(numbers).all():
        raise DeltaError("an adapter holds numbers that are not finite.")
    _, exponent = np.frexp(np.float64(np.abs(numbers).max(initial=0)))
    unit = float(np.ldexp(1.0, int(exponent) - bits))
    return np.rint(numbers.astype(np.float64) / unit), unit


def _blocks(adapter: Adapter, rows: int) -> list[tuple[slice, slice]]:
    """The rows x columns in blocks of at most MAX_PRODUCTS multiplications."""
    columns = min(adapter.columns, MAX_BLOCK_COLUMNS)
    height = max(1, MAX_PRODUCTS // (columns * adapter.rank))
    return [
        (slice(row, min(rows, row + height)), slice(column, min(adapter.columns, column + columns)))
        for row in range(0, rows, height)
        for column in range(0, adapter.columns, columns)
    ]
