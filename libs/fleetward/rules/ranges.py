"""What PromQL's range functions make of the samples of one window; all pure, none empty.

Semantics: Prometheus ``promql/functions.go`` and ``promql/quantile.go``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

NANOSECONDS = 1_000_000_000


class Window(Struct, frozen=True):
    """The samples of one series in (end_ns - range_ns, end_ns], oldest first, at least one."""

    times_ns: Sequence[int]
    values: Sequence[float]
    end_ns: int
    range_ns: int


def total(values: Sequence[float]) -> float:
    """The exact sum; with infinities or past the largest float, the one that IEEE 754 gives."""
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):
        return sum(values)


def mean(values: Sequence[float]) -> float:
    """The average, also where the sum would pass the largest float."""
    average = total(values) / len(values)
    if math.isfinite(average) or not all(math.isfinite(value) for value in values):
        return average
    return math.fsum(value / len(values) for value in values)


def least(values: Sequence[float]) -> float:
    """The smallest value that is a number; NaN when none is."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def greatest(values: Sequence[float]) -> float:
    """The largest value that is a number; NaN when none is."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def quantile(parameter: float, values: Sequence[float]) -> float:
    """The linearly interpolated quantile; outside [0, 1] it is -inf or +inf, as in PromQL."""
    if math.isnan(parameter):
        return math.nan
    if parameter < 0:
        return -math.inf
    if parameter > 1:
        return math.inf
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))  # NaN first
    rank = parameter * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(lower + 1, len(ordered) - 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


def increase(window: Window) -> float | None:
    """A counter's growth, extrapolated to the whole range; None with fewer than two samples."""
    times, values = window.times_ns, window.values
    if len(values) < 2 or times[-1] == times[0]:
        return None
    grown = _grown(values)
    sampled = times[-1] - times[0]
    average = sampled / (len(values) - 1)
    to_start = _beyond(times[0] - (window.end_ns - window.range_ns), average)
    if grown > 0 and values[0] >= 0:
        to_start = min(to_start, sampled * (values[0] / grown))
    to_end = _beyond(window.end_ns - times[-1], average)
    return grown * (sampled + to_start + to_end) / sampled


def rate(window: Window) -> float | None:
    """``increase`` per second."""
    grown = increase(window)
    return None if grown is None else grown * NANOSECONDS / window.range_ns


def _grown(values: Sequence[float]) -> float:
    """Last minus first, plus what every counter reset swallowed."""
    resets = sum(before for before, after in pairwise(values) if after < before)
    return values[-1] - values[0] + resets


def _beyond(gap_ns: float, average_ns: float) -> float:
    """How far to extrapolate into a gap: all of it, or half a step where a series began or ended."""
    return gap_ns if gap_ns < average_ns * 1.1 else average_ns / 2


Over = Callable[[Window], float | None]

RANGE_FUNCTIONS: dict[str, Over] = {
    "avg_over_time": lambda window: mean(window.values),
    "min_over_time": lambda window: least(window.values),
    "max_over_time": lambda window: greatest(window.values),
    "sum_over_time": lambda window: total(window.values),
    "count_over_time": lambda window: float(len(window.values)),
    "last_over_time": lambda window: window.values[-1],
    "rate": rate,
    "increase": increase,
}
"""By PromQL's name; quantile_over_time stands apart because it takes a parameter."""

QUANTILE_OVER_TIME = "quantile_over_time"

AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": total,
    "avg": mean,
    "min": least,
    "max": greatest,
    "count": lambda values: float(len(values)),
}

QUANTILE = "quantile"
