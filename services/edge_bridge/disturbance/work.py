"""What a robot does while models are prepared: its control loop turns, and its models answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_bridge.disturbance.limits import DisturbanceLimits
from edge_bridge.disturbance.window import Window
from fleetward.contracts.ids import Digest


class Serving:
    """How one pipeline's model answers; another model begins anew."""

    def __init__(self, window: Window, now_s: Callable[[], float]) -> None:
        self._window = window
        self._now_s = now_s
        self._digest: Digest | None = None

    def inferred(self, digest: Digest, latency_s: float) -> None:
        """An answer of the model that serves."""
        if digest != self._digest:
            self._digest = digest
            self._window.forget()
        self._window.add(self._now_s(), latency_s)


class Work:
    """One robot's. All but ``turned`` is for the event loop."""

    def __init__(
        self, limits: DisturbanceLimits, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._now_s = now_s
        self._windows: list[Window] = []
        limit_s = limits.control_loop_p99_s
        self._control_loop = None if limit_s is None else self._window("the control loop", limit_s)

    @property
    def limited(self) -> bool:
        """Whether any of it has a limit."""
        return bool(self._windows)

    def turned(self, duration_s: float) -> None:
        """A turn of the control loop, beyond its period; from any thread."""
        if self._control_loop is not None:
            self._control_loop.add(self._now_s(), duration_s)

    def serving(self, name: str, inference_p99_s: float | None) -> Serving | None:
        """What hears of each answer of one pipeline's model; None when that has no limit."""
        if inference_p99_s is None:
            return None
        return Serving(self._window(name, inference_p99_s), self._now_s)

    def reason(self, since_s: float) -> str:
        """Why what was seen since then is too much; empty when it is not."""
        reasons = (window.reason(since_s) for window in self._windows)
        return "; ".join(reason for reason in reasons if reason)

    def _window(self, name: str, limit_s: float) -> Window:
        window = Window(name, limit_s, self._limits.window_s)
        self._windows.append(window)
        return window
