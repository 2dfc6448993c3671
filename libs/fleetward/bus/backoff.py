"""How long to wait after failures in a row: twice as long each time, up to a bound."""

from __future__ import annotations

_MAX_DOUBLINGS = 64
"""Far past any bound; without it a failure that lasts for hours ends in an OverflowError."""


def pause_s(failures: int, first_s: float, longest_s: float) -> float:
    """Seconds to wait after ``failures`` (at least 1) in a row."""
    return min(first_s * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), longest_s)
