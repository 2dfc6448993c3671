"""How far one output of a model lies from the serving model's, over the same frames. Pure.

The mean absolute difference of its elements, divided by the range of the serving model's elements over
all compared frames; where that is a constant, by its magnitude. Of an output too large to travel whole,
both workers send the same evenly spaced elements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_bridge.workers.protocol import Output

_Values = NDArray[np.float64]


class Distance:
    """One output's distance so far."""

    def __init__(self) -> None:
        self._elements = 0
        self._absolute = 0.0
        self._least = np.inf
        self._largest = -np.inf

    def count(self, serving: _Values, shadow: _Values) -> None:
        same = (serving == shadow) | (np.isnan(serving) & np.isnan(shadow))
        with np.errstate(invalid="ignore"):
            self._absolute += float(np.where(same, 0.0, np.abs(serving - shadow)).sum())
        self._elements += serving.size
        finite = serving[np.isfinite(serving)]
        if finite.size:
            self._least = min(self._least, float(finite.min()))
            self._largest = max(self._largest, float(finite.max()))

    def relative(self) -> float:
        if not self._elements or self._absolute == 0.0:
            return 0.0
        mean = self._absolute / self._elements
        if not np.isfinite(self._least):
            return mean
        spread = self._largest - self._least
        return mean / (spread or max(abs(self._least), abs(self._largest)) or 1.0)


def elements(serving: Output | None, shadow: Output | None) -> tuple[_Values, _Values] | None:
    """The same elements of both, or None where they cannot be compared."""
    if serving is None or shadow is None or serving.shape != shadow.shape:
        return None
    ours, theirs = _values(serving), _values(shadow)
    if ours is None or theirs is None or ours.size != theirs.size:
        return None
    return ours, theirs


def _values(output: Output) -> _Values | None:
    content = output.content if output.content is not None else output.sample
    if content is None:
        return None
    return np.frombuffer(content, dtype=output.dtype).astype(np.float64)
