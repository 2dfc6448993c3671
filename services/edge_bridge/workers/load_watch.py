"""How long a worker may take to load, and how gently: building an engine is given longer of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from msgspec import structs

from edge_bridge.workers.protocol import Preparing, Ready
from edge_bridge.workers.slot_settings import SlotSettings
from fleetward.bus.logs import log

TOLD_EVERY_S = 10.0
"""How often the log says how far a build is."""

_logger = logging.getLogger(__name__)


class LoadWatch:
    """One load. hasten: it was gentle for long enough. late: it took longer than so many seconds."""

    def __init__(
        self, settings: SlotSettings, hasten: Callable[[], None], late: Callable[[float], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._callbacks = (hasten, late)
        self._paused_with_s: tuple[float, float] | None = None
        """What both timers had left when the load was made to stand still."""
        self._limit_s = settings.load_timeout_s
        self._hasten, self._late = self._timers(settings.gentle_load_s, self._limit_s)
        self._builds = False
        self._told_at_s = 0.0

    def preparing(self, progress: Preparing) -> None:
        """The worker builds an engine, and is so far."""
        if not self._builds:
            self._builds = True
            self.stop()
            self._limit_s = self._settings.engines.build_limit_s + self._settings.load_timeout_s
            times_s = self._settings.gentle_build_s, self._limit_s
            if self._paused_with_s is not None:  # it said so just before
                self._paused_with_s = times_s
            else:
                self._hasten, self._late = self._timers(*times_s)
        now_s = self._loop.time()
        if now_s >= self._told_at_s + TOLD_EVERY_S:
            self._told_at_s = now_s
            log(
                _logger,
                "slots.building_engine",
                phase=progress.phase,
                step=progress.step,
                steps=progress.steps,
            )

    def pause(self) -> None:
        """The load stands still, and so does its time."""
        now_s = self._loop.time()
        self._paused_with_s = (self._hasten.when() - now_s, self._late.when() - now_s)
        self.stop()

    def resume(self) -> None:
        """It goes on."""
        if self._paused_with_s is not None:
            self._hasten, self._late = self._timers(*self._paused_with_s)
            self._paused_with_s = None

    def told(self, ready: Ready, model: str) -> Ready:
        """What came of it, for people; ``ready`` itself."""
        log(_logger, "slots.loaded", model=model, **structs.asdict(ready))
        return ready

    def stop(self) -> None:
        """It ended."""
        self._hasten.cancel()
        self._late.cancel()

    def _timers(
        self, gentle_s: float, left_s: float
    ) -> tuple[asyncio.TimerHandle, asyncio.TimerHandle]:
        hasten, late = self._callbacks
        return (
            self._loop.call_later(gentle_s, hasten),
            self._loop.call_later(left_s, lambda: late(self._limit_s)),
        )
