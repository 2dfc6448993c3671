"""Lets another model serve, and with it whatever switches together with it."""

from __future__ import annotations

import asyncio

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.health_window import HealthWindow
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.together import Together
from fleetward.contracts.robots import RobotTarget


class Switching:
    """Of one pipeline. A switch ends the window of the model before."""

    def __init__(self, steps: Steps, together: Together, window: HealthWindow) -> None:
        self._steps = steps
        self._together = together
        self._window = window

    async def swap(self, target: RobotTarget) -> None:
        """Let green serve. All switch in this turn of the loop, before anything is waited for."""
        self._window.stop()
        others = self._together.switch_others(target)
        await self._steps.swap(target)
        await asyncio.gather(*others)

    async def swap_back(self, memory: Memory) -> None:
        """Return to the warm model: its target asks for it, or what serves was never proved."""
        self._window.stop()
        target, warm = memory.target, self._steps.slots.warm
        wanted = target if target and warm and target.digest == warm.digest else None
        others = self._together.switch_others(wanted) if wanted else ()
        await self._steps.swap_back(f"generation {memory.generation} asks for it", wanted)
        await asyncio.gather(*others)
