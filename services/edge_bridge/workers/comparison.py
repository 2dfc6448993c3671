"""How far a model's answers lie from those of the one that serves, over the same frames. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_bridge.workers.protocol import Inferred, Output

if TYPE_CHECKING:
    from edge_bridge.workers.distance import Distance


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
        self._outputs: dict[str, Distance] = {}
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

    def incomparable(self) -> tuple[str, ...]:
        """The outputs that one model lacks, or that had another shape or no numbers in some frame."""
        return tuple(sorted(self._incomparable))

    def _compare(self, name: str, serving: Output | None, shadow: Output | None) -> None:
        if name in self._incomparable:
            return
        from edge_bridge.workers.distance import Distance, elements

        pair = elements(serving, shadow)
        if pair is None:
            self._incomparable.add(name)
        else:
            self._outputs.setdefault(name, Distance()).count(*pair)
