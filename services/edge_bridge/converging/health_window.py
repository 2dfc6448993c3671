"""After a swap was proved the model before stays warm for a while, and takes over if green does badly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edge_bridge.converging.steps import Steps
from edge_bridge.workers.slots import FellBack
from fleetward.contracts.robots import RobotTarget

_NEWS_TIMEOUT_S = 0.5


class HealthWindow:
    """One window at a time; a swap to anything else ends it."""

    def __init__(
        self,
        steps: Steps,
        *,
        on_fell_back: Callable[[FellBack], None],
        on_over: Callable[[], None],
    ) -> None:
        self._steps = steps
        self._on_fell_back = on_fell_back
        self._on_over = on_over
        self._task: asyncio.Task[None] | None = None

    def start(self, target: RobotTarget) -> None:
        """Watch ``target``'s model for its health window."""
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._watch(target))

    def stop(self) -> None:
        """Stop watching; what is warm stays as it is."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, target: RobotTarget) -> None:
        slots = self._steps.slots
        until_s = time.monotonic() + target.health_window_s
        while (left_s := until_s - time.monotonic()) > 0:
            if slots.active is None or slots.active.digest != target.digest:
                return  # the slots fell back by themselves and said so
            blue = slots.warm.digest if slots.warm else None
            reason = self._steps.watch.reason_against(target.digest, blue)
            if reason and blue is not None:
                self._on_fell_back(slots.return_to_warm(reason))
                return
            await self._steps.watch.news(min(left_s, _NEWS_TIMEOUT_S))
        await slots.retire_warm()
        self._on_over()
