"""Slots on real workers, a source the test pushes into, and everything they reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil

from edge_bridge.disturbance.brake import Brake
from edge_bridge.frames import Frame
from edge_bridge.sources.source import PushSource
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.slots import FellBack, InferenceDone, Slots, StagedModel
from edge_bridge.workers.twins import Twins
from tests.integration.edge_slots.tiny_models import SIDE_PX

PATIENCE_S = 60.0
SETTINGS = SlotSettings(frame_limit_bytes=SIDE_PX * SIDE_PX * 3, restart_delay_s=0.01)


class Rig:
    """One robot's slots. ``results`` and ``fallbacks`` are in the order they came."""

    def __init__(
        self, settings: SlotSettings, brake: Brake | None = None, twins: Twins | None = None
    ) -> None:
        self.source = PushSource()
        self.results: list[InferenceDone] = []
        self.fallbacks: list[FellBack] = []
        self.shadowed: list[InferenceDone] = []
        self.green_losses: list[str] = []
        self.on_result: Callable[[], None] = lambda: None
        self._reported = asyncio.Event()
        self._before = set(psutil.Process().children())
        self.slots = Slots(
            settings,
            self.source,
            on_result=self._result,
            on_fallback=self._fallback,
            on_green_lost=self._green_lost,
            on_shadowed=self._shadowed,
            brake=brake,
            twins=twins,
        )

    def workers(self) -> set[psutil.Process]:
        """The processes that run and did not run before it, whichever model they load or serve."""
        now = set(psutil.Process().children()) - self._before
        return {each for each in now if each.is_running() and each.status() != psutil.STATUS_ZOMBIE}

    def push(self, brightness: int = 128) -> None:
        """One frame, all of its pixels of one brightness, 0 to 255."""
        size = SIDE_PX * SIDE_PX * 3
        self.source.push(Frame(bytes([brightness]) * size, (SIDE_PX, SIDE_PX, 3)))

    async def serve(self, model: StagedModel) -> None:
        await self.slots.stage(model)
        await self.slots.swap()

    async def until_results(self, count: int) -> list[InferenceDone]:
        """Wait until so many results came, and return them all."""
        await self._until(lambda: len(self.results) >= count)
        return self.results

    async def until_fallen_back(self) -> FellBack:
        await self._until(lambda: bool(self.fallbacks))
        return self.fallbacks[0]

    async def until_compared(self, frames: int) -> None:
        """Wait until so many frames were answered by both, showing one after the other."""
        while self.slots.shadow.comparison.frames < frames:
            await self.show(brightness=255 * (len(self.results) % 2))

    async def show(self, brightness: int = 128) -> None:
        """One frame, until the model that serves answered it and a shadow is idle again."""
        served, shadowed = len(self.results), len(self.shadowed)
        self.push(brightness)
        await self.until_results(served + 1)
        if self.slots.shadow.model is not None:
            await self._until(lambda: len(self.shadowed) > shadowed or bool(self.green_losses))

    async def until(self, holds: Callable[[], bool]) -> None:
        """For what no callback tells: look every few milliseconds."""

        async def look() -> None:
            while not holds():  # noqa: ASYNC110  # a process's end has no event here
                await asyncio.sleep(0.005)

        await asyncio.wait_for(look(), PATIENCE_S)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._reported.clear()
            await asyncio.wait_for(self._reported.wait(), PATIENCE_S)

    def _result(self, done: InferenceDone) -> None:
        self.results.append(done)
        self._reported.set()
        self.on_result()

    def _shadowed(self, done: InferenceDone) -> None:
        self.shadowed.append(done)
        self._reported.set()

    def _green_lost(self, reason: str) -> None:
        self.green_losses.append(reason)
        self._reported.set()

    def _fallback(self, fell_back: FellBack) -> None:
        self.fallbacks.append(fell_back)
        self._reported.set()


@asynccontextmanager
async def running(
    settings: SlotSettings = SETTINGS, brake: Brake | None = None, twins: Twins | None = None
) -> AsyncIterator[Rig]:
    """Slots that run, closed afterwards."""
    rig = Rig(settings, brake, twins)
    pump = asyncio.create_task(rig.slots.run())
    await asyncio.sleep(0)  # the source listens from the pump's first turn on
    try:
        yield rig
    finally:
        pump.cancel()
        await rig.slots.close()
