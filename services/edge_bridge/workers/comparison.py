"""How far a model's answers lie from those of the one that serves, over the same frames. Pure.

The divergence of an output is the mean absolute difference of its elements, divided by the range of
the serving model's elements over all compared frames; where that is a constant, by its magnitude. Of an
output too large to travel whole, both workers send the same evenly spaced elements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_bridge.workers.protocol import Inferred, Output

_Values = NDArray[np.float64]


class Comparison:
    """Counts pairs of answers to the same frames."""

    def __init__(self) -> None:
        self.frames = 0
        """Frames that both models answered."""
        self.errors = 0
        """Frames on which the shadow failed."""
        self.last_error = ""
        self._latency_s = 0.0
        self._serving_latency_s = 0.0
        self._outputs: dict[str, _Distance] = {}
        self._incomparable: set[str] = set()

    @property
    def latency_ms_mean(self) -> float:
        """The shadow's processor time."""
        return self._latency_s * 1e3 / self.frames if self.frames else 0.0

    @property
    def serving_latency_ms_mean(self) -> float:
        """The serving model's time from pick-up to result, on the same frames."""
        return self._serving_latency_s * 1e3 / self.frames if self.frames else 0.0

    @property
    def error_share(self) -> float:
        """Failed frames as a share of all that the shadow saw."""
        seen = self.frames + self.errors
        return self.errors / seen if seen else 0.0

    def fail(self, error: str) -> None:
        """The shadow failed on a frame."""
        self.errors += 1
        self.last_error = error

    def count(self, serving: Inferred, shadow: Inferred) -> None:
        """Both answered the same frame."""
        self.frames += 1
        self._latency_s += shadow.latency_s
        self._serving_latency_s += serving.latency_s
        for name in serving.outputs.keys() | shadow.outputs.keys():
            self._compare(name, serving.outputs.get(name), shadow.outputs.get(name))

    def divergence(self) -> dict[str, float]:
        """By output; without those that could not be compared in every frame."""
        return {
            name: distance.relative()
            for name, distance in sorted(self._outputs.items())
            if name not in self._incomparable
        }

    def _compare(self, name: str, serving: Output | None, shadow: Output | None) -> None:
        if name in self._incomparable:
            return
        pair = _elements(serving, shadow)
        if pair is None:
            self._incomparable.add(name)
        else:
            self._outputs.setdefault(name, _Distance()).count(*pair)


class _Distance:
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


def _elements(serving: Output | None, shadow: Output | None) -> tuple[_Values, _Values] | None:
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
