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
from edge_bridge.disturbance.work import Work
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class Braked(Protocol):
    """What can stand still for a while, and then go on."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Brake:
    """One pipeline's. Everything runs on the event loop."""

    def __init__(
        self,
        limits: DisturbanceLimits,
        work: Work,
        on_change: Callable[[], None] = lambda: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``work`` is all that the robot does. ``on_change``: ``paused`` is another now."""
        self.disturbed = ""
        """What is too much just now, prepared or not; empty when nothing is."""
        self.exhausted = asyncio.Event()
        """The target under way paused for longer than patience lasts."""
        self.patience_s = limits.patience_s
        self._limits = limits
        self._on_change = on_change
        self._now_s = now_s
        self._work = work
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
        return self._work.reason(since_s)

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
