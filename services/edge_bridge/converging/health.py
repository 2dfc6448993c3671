"""Judges green against blue on the robot itself, for the minutes the cable may be out.

Conservative on purpose: the fleet's own comparison of cohorts must normally come first. Pure:
outcomes in, a reason to fall back out.
"""

from __future__ import annotations

from collections import deque
from math import ceil

from msgspec import Struct


class HealthBounds(Struct, frozen=True, kw_only=True):
    """When a robot takes a model back by itself. Shares in [0, 1], latencies in seconds."""

    min_inferences: int = 20
    """No judgement on fewer."""
    min_latency_inferences: int = 100
    """No judgement of green's latency on fewer: the p99 of fewer is only the slowest one, and the
    fleet's alerts come sooner while the cable is in."""
    max_error_share: float = 0.2
    latency_factor: float = 3.0
    """Green's p99 may be this many times blue's..."""
    latency_slack_s: float = 0.100
    """...plus this, before the robot steps in without the fleet."""
    remembered_inferences: int = 512
    """How many of the newest inferences a judgement looks at."""


class Outcomes:
    """The newest inferences of one model: how long they took and which failed."""

    def __init__(self, bounds: HealthBounds) -> None:
        self._latencies_s: deque[float] = deque(maxlen=bounds.remembered_inferences)
        self._failed: deque[bool] = deque(maxlen=bounds.remembered_inferences)
        self.good = 0
        """Good inferences since counting began, not only the remembered ones."""
        self.last_error = ""

    def count(self, latency_s: float, error: str | None) -> None:
        """Remember one inference; ``error`` None means that it was good."""
        self._failed.append(error is not None)
        if error is None:
            self._latencies_s.append(latency_s)
            self.good += 1
        else:
            self.last_error = error

    @property
    def counted(self) -> int:
        """How many inferences a judgement would look at."""
        return len(self._failed)

    @property
    def error_share(self) -> float:
        """Failed inferences as a share of those remembered; 0 before the first."""
        return sum(self._failed) / len(self._failed) if self._failed else 0.0

    @property
    def latency_p99_s(self) -> float | None:
        """The 99th percentile (nearest rank) of good inferences; None before the first."""
        if not self._latencies_s:
            return None
        ordered = sorted(self._latencies_s)
        return ordered[ceil(0.99 * len(ordered)) - 1]


def fall_back_reason(green: Outcomes, blue: Outcomes | None, bounds: HealthBounds) -> str | None:
    """Why the robot should return to blue now, or None. Needs enough inferences of both."""
    if green.counted < bounds.min_inferences:
        return None
    if green.error_share > bounds.max_error_share:
        return (
            f"{green.error_share:.0%} of the last {green.counted} inferences failed, more than "
            f"{bounds.max_error_share:.0%}; the last said: {green.last_error}"
        )
    return _latency_reason(green, blue, bounds)


def _latency_reason(green: Outcomes, blue: Outcomes | None, bounds: HealthBounds) -> str | None:
    if blue is None or blue.counted < bounds.min_inferences:
        return None
    green_s, blue_s = green.latency_p99_s, blue.latency_p99_s
    if green_s is None or blue_s is None or green.counted < bounds.min_latency_inferences:
        return None
    bound_s = blue_s * bounds.latency_factor + bounds.latency_slack_s
    if green_s <= bound_s:
        return None
    return (
        f"inference p99 is {green_s * 1e3:.0f} ms; the model before took {blue_s * 1e3:.0f} ms "
        f"and this robot allows {bound_s * 1e3:.0f} ms"
    )
