"""Stops the preparation of a model while it, or anything else, disturbs the robot's work.

What serves is never held up, nor what a robot does to have its own model again: only a preparation that
was begun under ``applied`` pauses. One target's pauses are counted together, until patience ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from edge_bridge.disturbance.limits import DisturbanceLimits
from edge_bridge.disturbance.window import Window
from fleetward.bus.logs import log
from fleetward.contracts.ids import Digest

_logger = logging.getLogger(__name__)


class Braked(Protocol):
    """What can stand still for a while, and then go on."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Brake:
    """One pipeline's. All but ``turned`` is for the event loop."""

    def __init__(
        self,
        limits: DisturbanceLimits,
        on_change: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_change``: ``paused`` is another now."""
        self.disturbed = ""
        """What is too much just now, prepared or not; empty when nothing is."""
        self.exhausted = asyncio.Event()
        """The target under way paused for longer than patience lasts."""
        self.patience_s = limits.patience_s
        self._limits = limits
        self._on_change = on_change
        self._now_s = now_s
        self._inference = self._window("the serving model's inference", limits.inference_p99_s)
        self._control_loop = self._window("the control loop", limits.control_loop_p99_s)
        self._serving: Digest | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._braked: list[Braked] = []
        self._applied = False
        self._generation = 0
        self._paused_s = 0.0
        self._changed_at_s = self._looked_at_s = now_s()

    @property
    def paused(self) -> str:
        """Why the preparation under way stands still; empty when it does not, or there is none."""
        return self.disturbed if self._applied else ""

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self._inference is not None or self._control_loop is not None

    def turned(self, duration_s: float) -> None:
        """A turn of the control loop, beyond its period; from any thread."""
        if self._control_loop is not None:
            self._control_loop.add(self._now_s(), duration_s)

    def inferred(self, digest: Digest, latency_s: float) -> None:
        """An answer of the model that serves."""
        if self._inference is None:
            return
        if digest != self._serving:
            self._serving = digest
            self._inference.forget()
        self._inference.add(self._now_s(), latency_s)

    @contextmanager
    def applied(self, generation: int) -> Iterator[None]:
        """A step of this target's preparation, which pauses when it must."""
        if generation != self._generation:
            self._generation, self._paused_s = generation, 0.0
            self.exhausted.clear()
        self._applied = True
        self._set()
        try:
            yield
        finally:
            self._applied = False
            self._set()

    @contextmanager
    def over(self, braked: Braked) -> Iterator[None]:
        """``braked`` stands still whenever a preparation does."""
        self._braked.append(braked)
        if not self._free.is_set():
            braked.pause()
        try:
            yield
        finally:
            self._braked.remove(braked)
            if not self._free.is_set():
                braked.resume()

    async def released(self) -> None:
        """Until the preparation may go on."""
        await self._free.wait()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._limits.look_s)
            self.look()

    def look(self) -> None:
        """Judge what was seen since the last change, and count how long a pause takes."""
        now_s, before_s = self._now_s(), self._looked_at_s
        self._looked_at_s = now_s
        disturbed = self._judged(now_s)
        if bool(disturbed) != bool(self.disturbed):
            self._changed_at_s = now_s
            self.disturbed = disturbed
            self._set()
        elif self.paused:
            self._paused_s += now_s - before_s
            if self._paused_s > self.patience_s:
                self.exhausted.set()

    def _judged(self, now_s: float) -> str:
        """Once disturbed, so it stays until nothing was too much for a while."""
        looks_back_s = self._limits.calm_s if self.disturbed else self._limits.window_s
        if self.disturbed and now_s - self._changed_at_s < looks_back_s:
            return self.disturbed
        since_s = max(self._changed_at_s, now_s - looks_back_s)
        windows = (self._control_loop, self._inference)
        reasons = [window.reason(since_s) for window in windows if window is not None]
        return "; ".join(reason for reason in reasons if reason)

    def _set(self) -> None:
        """Let go or hold, whatever is under way."""
        free = not self.paused
        if free == self._free.is_set():
            return
        if free:
            self._free.set()
        else:
            self._free.clear()
        for braked in self._braked:
            (braked.resume if free else braked.pause)()
        log(_logger, "preparation.resumed" if free else "preparation.paused", reason=self.paused)
        self._on_change()

    def _window(self, name: str, limit_s: float | None) -> Window | None:
        return None if limit_s is None else Window(name, limit_s, self._limits.window_s)
