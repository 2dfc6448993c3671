"""A fresh worker for the model that serves: its worker died, or takes more and more memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import LoadFailedError, WarmUpFailedError
from edge_bridge.workers.slot import WorkerSlot
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class Succession:
    """One at a time. ``on_ready``: this worker serves from now on."""

    def __init__(
        self,
        settings: SlotSettings,
        brake: Brake,
        start: Callable[[StagedModel], WorkerSlot],
        on_ready: Callable[[WorkerSlot], None],
    ) -> None:
        self.restarts = 0
        """How often a worker was started again because it died."""
        self.renewals = 0
        """How often one took the place of a worker that had grown too much."""
        self._settings = settings
        self._brake = brake
        self._start = start
        self._on_ready = on_ready
        self._delay_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_under_way(self) -> bool:
        """Whether a worker is on its way already."""
        return self._task is not None and not self._task.done()

    def restart(self, dead: WorkerSlot) -> None:
        """Nobody serves: start one as soon as may be. One that is on its way already will do."""
        if not self.is_under_way:
            self._task = asyncio.get_running_loop().create_task(self._until_ready(dead))

    def renew(self, grown: WorkerSlot) -> None:
        """It serves until another one is warm, and ends when it has answered its last frame."""
        if not self.is_under_way:
            self._task = asyncio.get_running_loop().create_task(self._renew(grown))

    def forget(self) -> None:
        """Another model serves now."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._delay_s = 0.0

    async def close(self) -> None:
        """Leave nothing running."""
        task = self._task
        self.forget()
        waited = [*self._ending, *([task] if task else [])]
        await asyncio.gather(*waited, return_exceptions=True)

    async def _until_ready(self, dead: WorkerSlot) -> None:
        """The wait doubles while it dies early or does not load."""
        if dead.answers >= self._settings.restart_forgiven_frames:
            self._delay_s = 0.0
        while True:
            await asyncio.sleep(self._delay_s)
            self._delay_s = self._longer(self._delay_s)
            fresh = await self._loaded(dead.staged, None)
            if fresh is not None:
                self.restarts += 1
                self._on_ready(fresh)
                return

    async def _renew(self, grown: WorkerSlot) -> None:
        fresh = await self._loaded(grown.staged, self._brake)
        if fresh is not None:
            self.renewals += 1
            self._on_ready(fresh)
            ending = asyncio.get_running_loop().create_task(_end(grown))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        elif grown.alive:
            await asyncio.sleep(
                self._settings.restart_delay_limit_s
            )  # and then it may be tried again
        else:
            await self._until_ready(grown)

    async def _loaded(self, model: StagedModel, brake: Brake | None) -> WorkerSlot | None:
        """A warm worker; None when it could not be had."""
        fresh = self._start(model)
        try:
            await fresh.load(brake=brake)
        except (LoadFailedError, WarmUpFailedError) as error:
            reason = str(error)
            log(_logger, "slots.restart_failed", level=logging.WARNING, reason=reason)
            return None
        except asyncio.CancelledError:
            fresh.kill()
            raise
        return fresh

    def _longer(self, delay_s: float) -> float:
        doubled = max(self._settings.restart_delay_s, 2 * delay_s)
        return min(doubled, self._settings.restart_delay_limit_s)


async def _end(grown: WorkerSlot) -> None:
    await grown.drained()
    await grown.stop()
