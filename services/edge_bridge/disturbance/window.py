"""The newest durations of one kind, and what is too much about them."""

from __future__ import annotations

import threading
from collections import deque
from math import ceil

MAX_SAMPLES = 20_000
"""Ten seconds of a loop that turns twice each millisecond."""
MIN_LATE = 2
"""One late sample among few is the p99 of them, and says nothing."""


class Window:
    """Takes samples from any thread. Times are seconds of one clock that only goes forward."""

    def __init__(self, name: str, limit_s: float, remembered_s: float) -> None:
        """``name`` is what people read: "the control loop"."""
        self._name = name
        self._limit_s = limit_s
        self._remembered_s = remembered_s
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque(maxlen=MAX_SAMPLES)

    def add(self, at_s: float, duration_s: float) -> None:
        """One more sample."""
        with self._lock:
            self._samples.append((at_s, duration_s))
            while self._samples[0][0] < at_s - self._remembered_s:
                self._samples.popleft()

    def forget(self) -> None:
        """What was seen says nothing about what comes."""
        with self._lock:
            self._samples.clear()

    def reason(self, since_s: float) -> str:
        """Why what was seen since then is too much; empty when it is not, or nothing was seen."""
        with self._lock:
            durations_s = [duration_s for at_s, duration_s in self._samples if at_s >= since_s]
        late = sum(duration_s > self._limit_s for duration_s in durations_s)
        spared = len(durations_s) - ceil(0.99 * len(durations_s))
        if late < MIN_LATE or late <= spared:
            return ""
        p99_s = sorted(durations_s)[-1 - spared]
        return f"the p99 of {self._name} is {p99_s * 1e3:.1f} ms, more than {self._limit_s * 1e3:.1f} ms"
