"""What the robot remembers, changed only together with what it says about that, one change at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.reporting import Reporter
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName


class Remembered:
    """The memory as it is on the robot's disk."""

    def __init__(
        self,
        memory: Memory,
        reporter: Reporter,
        on_change: Callable[[], None],
        pipeline: ModelName | None = None,
    ) -> None:
        self.memory = memory
        self._pipeline = pipeline
        self._reporter = reporter
        self._on_change = on_change
        self._turn = asyncio.Lock()

    async def change(self, change: Callable[[Memory], Memory], facts: Sequence[Event] = ()) -> None:
        """Change the memory and report, in one transaction; raises JournalError and changes nothing.

        Once the disk was asked, a cancellation waits for it: what is on disk is remembered.
        """
        async with self._turn:
            await to_its_end(self._change(change(self.memory), facts))

    async def _change(self, memory: Memory, facts: Sequence[Event]) -> None:
        if memory != self.memory or facts:
            await self._reporter.report(memory, facts, self._pipeline)
        self.memory = memory
        self._on_change()
