"""The recipes of one delta that is being planned: which adapters it uses, and what each misses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from fleetward.delivery.adapters import LowRank
from fleetward.delivery.delta import (
    ELEMENT_BYTES,
    MAX_SEGMENT_BYTES,
    Adapter,
    Recipe,
)
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.floats import rounded
from fleetward.delivery.frames import Content
from fleetward.delivery.intdiff import encode_difference, encode_literal
from fleetward.delivery.manifest import TensorSpan
from fleetward.delivery.recipe import Factors, factors_of, merged

SHORT_BY = 2
"""A recipe is taken when its residual and its share of the adapter are shorter by this factor."""


class RecipePiece(Struct, frozen=True):
    """A recipe segment and its residual."""

    segment: Recipe
    payload: bytes


class _Ready(Struct, frozen=True, eq=False):
    adapter: Adapter
    payload: bytes
    factors: Factors


class Recipes:
    """The pairs by the tensor they change; those that are used get a number, in order of use."""

    def __init__(self, pairs: Mapping[str, LowRank]) -> None:
        self._pairs = {name: pair for name, pair in pairs.items() if _row_fits(pair)}
        self._numbers: dict[str, int] = {}
        self._ready: tuple[str, _Ready] | None = None
        self.adapters: list[Adapter] = []
        self.payloads: list[bytes] = []

    def has(self, tensor: TensorSpan) -> bool:
        """Whether an adapter changes this tensor."""
        return tensor.name in self._pairs

    def piece_bytes(self, tensor: TensorSpan, at_most: int) -> int:
        """How long the tensor's pieces are: whole rows, where an adapter changes it."""
        if not self.has(tensor):
            return at_most
        row_bytes = tensor.length // tensor.shape[0]
        return max(1, at_most // row_bytes) * row_bytes

    def piece(
        self, content: Content, base: Content, base_start: int, tensor: TensorSpan, within: int
    ) -> RecipePiece | None:
        """``content`` as the merged ``base``, ``within`` bytes into the tensor; None when it is not."""
        if not self.has(tensor):
            return None
        ready = self._get_ready(tensor)
        length, row_bytes = len(content), ready.adapter.row_bytes
        try:
            prediction = merged(base, ready.adapter, ready.factors, within // row_bytes)
        except DeltaError:
            return None  # an infinity in the weights: not a recipe's business
        width = ELEMENT_BYTES[tensor.element_type]
        residual = b"" if prediction == content else encode_difference(content, prediction, width)
        if len(residual) + len(ready.payload) * length // tensor.length > length // SHORT_BY:
            return None
        number = self._number(tensor.name, ready)
        segment = Recipe(length, base_start, number, within // row_bytes, len(residual))
        return RecipePiece(segment, residual)

    def _get_ready(self, tensor: TensorSpan) -> _Ready:
        if self._ready is None or self._ready[0] != tensor.name:
            self._ready = (tensor.name, _made_ready(self._pairs[tensor.name], tensor))
        return self._ready[1]

    def _number(self, name: str, ready: _Ready) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.adapters)
            self.adapters.append(ready.adapter)
            self.payloads.append(ready.payload)
        return self._numbers[name]


def _made_ready(pair: LowRank, tensor: TensorSpan) -> _Ready:
    both = np.concatenate((pair.left.reshape(-1), pair.right.reshape(-1)))
    content = rounded(both, pair.factor_type)
    payload = encode_literal(content, ELEMENT_BYTES[pair.factor_type])
    (rows, rank), columns = pair.left.shape, pair.right.shape[1]
    adapter = Adapter(
        tensor.element_type, pair.factor_type, rows, columns, rank, pair.scale, len(payload)
    )
    return _Ready(adapter, payload, factors_of(adapter, content))


def _row_fits(pair: LowRank) -> bool:
    return int(pair.right.shape[1]) * max(ELEMENT_BYTES.values()) <= MAX_SEGMENT_BYTES
