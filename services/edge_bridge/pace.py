"""How much is on its way at once, so that what is small and urgent waits behind little of it.

A link has one queue each way. Whoever fills it with a model, or with hours of telemetry, makes a check-in
wait for all of that. So bulk moves in portions, each of about as long as it may hold up the rest: on a
slow link few bytes, on a fast one many. Nothing has to be known or configured of the link.
"""

from __future__ import annotations

from msgspec import Struct

_GROWTH = 4


class PaceLimits(Struct, frozen=True, kw_only=True):
    """Of one portion."""

    portion_s: float
    """As long as it may take, and hold up whatever else wants to move."""
    first_bytes: int
    least_bytes: int
    most_bytes: int


class Pace:
    """The size of the next portion, by how long those before took."""

    def __init__(self, limits: PaceLimits) -> None:
        self.limits = limits
        self.portion_bytes = limits.first_bytes

    def moved(self, length: int, seconds: float) -> None:
        """So many bytes took so long. A portion that was not full says nothing of how much could move."""
        most_bytes = self.limits.most_bytes
        possible = length * self.limits.portion_s / seconds if seconds > 0 else most_bytes
        possible = int(min(possible, most_bytes))
        if seconds > self.limits.portion_s:
            self._become(min(possible, self.portion_bytes))
        elif length >= self.portion_bytes:
            self._become(max(min(possible, length * _GROWTH), self.portion_bytes))

    def is_overdue(self, seconds: float) -> bool:
        """Whether a portion that is under way so long would better be a smaller one."""
        is_smallest = self.portion_bytes <= self.limits.least_bytes
        return not is_smallest and seconds > self.limits.portion_s * _GROWTH

    def _become(self, portion_bytes: int) -> None:
        self.portion_bytes = max(
            self.limits.least_bytes, min(portion_bytes, self.limits.most_bytes)
        )
