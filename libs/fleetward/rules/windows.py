"""The recent samples of one robot, per series: only what some rule reads, only as far back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from fleetward.rules.promql import Labels, Selector
from fleetward.rules.ranges import Window

MAX_SAMPLES_PER_SERIES = 20_000
"""5 minutes at 66 Hz; beyond it the oldest samples go first."""
MAX_SERIES_PER_METRIC = 256
"""A robot that invents labels loses the series that was quiet for longest."""
_TRIM_EVERY = 256


class SeriesSamples:
    """The samples of one series, oldest first."""

    __slots__ = ("labels", "times_ns", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.times_ns: list[int] = []
        self.values: list[float] = []

    def add(self, at_ns: int, value: float, keep_ns: int) -> None:
        """Insert in time order, and forget now and then what is older than ``keep_ns``."""
        if not self.times_ns or at_ns >= self.times_ns[-1]:
            self.times_ns.append(at_ns)
            self.values.append(value)
        else:
            place = bisect_right(self.times_ns, at_ns)
            self.times_ns.insert(place, at_ns)
            self.values.insert(place, value)
        self._trim(keep_ns)

    def latest(self, at_ns: int, lookback_ns: int) -> float | None:
        """The newest value in (at_ns - lookback_ns, at_ns], if there is one."""
        place = bisect_right(self.times_ns, at_ns) - 1
        if place < 0 or self.times_ns[place] <= at_ns - lookback_ns:
            return None
        return self.values[place]

    def window(self, at_ns: int, range_ns: int) -> Window | None:
        """The samples in (at_ns - range_ns, at_ns]; None when there are none."""
        first = bisect_right(self.times_ns, at_ns - range_ns)
        last = bisect_right(self.times_ns, at_ns)
        if first >= last:
            return None
        return Window(self.times_ns[first:last], self.values[first:last], at_ns, range_ns)

    def _trim(self, keep_ns: int) -> None:
        old = bisect_right(self.times_ns, self.times_ns[-1] - keep_ns) - 1
        excess = max(old, len(self.times_ns) - MAX_SAMPLES_PER_SERIES)
        if excess >= _TRIM_EVERY or len(self.times_ns) > MAX_SAMPLES_PER_SERIES:
            del self.times_ns[:excess]
            del self.values[:excess]


class RobotSamples:
    """All series of one robot that rules read. ``keep_ns``: metric -> how far back."""

    def __init__(self, keep_ns: Mapping[str, int]) -> None:
        self._keep_ns = keep_ns
        self._series: dict[str, dict[Labels, SeriesSamples]] = {}
        self._selected: dict[Selector, list[SeriesSamples]] = {}

    def add(self, metric: str, labels: Labels, at_ns: int, value: float) -> None:
        """Keep one sample; a metric that no rule reads is ignored."""
        keep_ns = self._keep_ns.get(metric)
        if keep_ns is None:
            return
        series = self._series.setdefault(metric, {})
        if labels not in series:
            self._begin(series, labels)
        series[labels].add(at_ns, value, keep_ns)

    def select(self, selector: Selector) -> Iterable[SeriesSamples]:
        """The series a selector means; remembered until a series begins or ends."""
        found = self._selected.get(selector)
        if found is None:
            series = self._series.get(selector.metric, {})
            found = [one for labels, one in series.items() if selector.selects(labels)]
            self._selected[selector] = found
        return found

    def clear(self) -> None:
        """Forget every sample: what comes next is judged on its own."""
        self._series.clear()
        self._selected.clear()

    def _begin(self, series: dict[Labels, SeriesSamples], labels: Labels) -> None:
        if len(series) >= MAX_SERIES_PER_METRIC:
            quietest = min(series.values(), key=lambda one: one.times_ns[-1])
            del series[quietest.labels]
        series[labels] = SeriesSamples(labels)
        self._selected.clear()
