"""What the robot remembers, changed only together with what it says about that, one change at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack

from msgspec import Struct

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.reporting import Reporter
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName


class Remembered:
    """The memory of one pipeline as it is on the robot's disk."""

    def __init__(
        self,
        memory: Memory,
        reporter: Reporter,
        on_change: Callable[[], None],
        pipeline: ModelName | None = None,
    ) -> None:
        self.memory = memory
        self.pipeline = pipeline
        self.reporter = reporter
        self.on_change = on_change
        self.turn = asyncio.Lock()
        """Held by whoever changes it."""

    async def change(self, change: Callable[[Memory], Memory], facts: Sequence[Event] = ()) -> None:
        """Change this memory and report; raises JournalError and changes nothing."""
        await change_all([self], lambda: [Change(self, change(self.memory), facts)])


class Change(Struct, frozen=True):
    """What one pipeline remembers from now on, and what is said about that."""

    of: Remembered
    memory: Memory
    facts: Sequence[Event] = ()


async def change_all(those: Collection[Remembered], decide: Callable[[], Sequence[Change]]) -> None:
    """Change what several remember and report, in one transaction; raises JournalError and changes nothing.

    ``decide`` is asked once nobody else changes any of ``those``. Once the disk was asked, a cancellation
    waits for it: what is on disk is remembered.
    """
    async with AsyncExitStack() as turns:
        for one in sorted(those, key=lambda one: one.pipeline or ""):
            await turns.enter_async_context(one.turn)
        await to_its_end(_write(decide()))


async def _write(changes: Sequence[Change]) -> None:
    memories = {each.of.pipeline: each.memory for each in changes if each.memory != each.of.memory}
    facts = [fact for each in changes for fact in each.facts]
    if memories or facts:
        await changes[0].of.reporter.report(memories, facts)
    for each in changes:
        each.of.memory = each.memory
        each.of.on_change()
