"""A camera that shows as many frames as a test waits for."""

from __future__ import annotations

import asyncio

from edge_bridge.frames import Frame, FrameSink
from tests.integration.edge_slots import tiny_models


class Camera:
    """Grey frames at 50 Hz; ``brightness`` may be changed at any time."""

    def __init__(self) -> None:
        self.brightness = 0
        self.shown = 0
        self._showing = asyncio.Condition()

    async def shows(self, frames: int) -> None:
        """Until so many more frames were shown."""
        until = self.shown + frames
        async with self._showing:
            await self._showing.wait_for(lambda: self.shown >= until)

    async def run(self, sink: FrameSink) -> None:
        shape = (tiny_models.SIDE_PX, tiny_models.SIDE_PX, 3)
        while True:
            sink(Frame(bytes([self.brightness]) * (shape[0] * shape[1] * shape[2]), shape))
            self.shown += 1
            async with self._showing:
                self._showing.notify_all()
            await asyncio.sleep(0.02)
