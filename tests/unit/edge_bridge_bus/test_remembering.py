"""A newer target that cancels a step loses nothing of what the step already wrote."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.remembering import Remembered
from edge_bridge.disk_thread import DiskThread
from edge_bridge.journal import Journal, JournalError
from edge_bridge.link import Link
from edge_bridge.reporting import Reporter
from edge_bridge.uplink import UplinkLimits
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName


class SlowDisk(Journal):
    """Each write waits until the disk ``goes_on``; a full disk takes nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = threading.Event()
        self.goes_on = threading.Event()
        self.is_full = False

    def write(
        self,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
        traceparent: str = "",
    ) -> None:
        self.asked.set()
        assert self.goes_on.wait(10)
        if self.is_full:
            raise JournalError("the disk is full.")
        super().write(memories, facts, traceparent)


def settled(generation: int) -> Memory:
    return Memory(settled_generation=generation)


async def cancelled_while_writing(journal: SlowDisk) -> tuple[Remembered, list[None]]:
    """A change whose step is cancelled twice while its fsync runs."""
    changes: list[None] = []
    reporter = Reporter(journal, cast(Link, None), UplinkLimits(), DiskThread())
    remembered = Remembered(Memory(), reporter, lambda: changes.append(None))
    step = asyncio.ensure_future(remembered.change(lambda _: settled(7)))
    await asyncio.to_thread(journal.asked.wait, 10)
    for _ in range(2):
        step.cancel()
        await asyncio.sleep(0)
    assert not step.done(), "it left its thread writing"
    journal.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await step
    return remembered, changes


async def test_what_reached_the_disk_while_it_was_cancelled_is_remembered(tmp_path: Path) -> None:
    journal = SlowDisk(tmp_path / "journal.db")
    remembered, changes = await cancelled_while_writing(journal)
    assert (remembered.memory, journal.memory()) == (settled(7), settled(7))
    assert len(changes) == 1

    await remembered.change(lambda memory: replace(memory, bytes_fetched=5))
    kept = replace(settled(7), bytes_fetched=5)
    assert (remembered.memory, journal.memory()) == (kept, kept)


async def test_what_a_full_disk_refused_while_it_was_cancelled_is_not(tmp_path: Path) -> None:
    journal = SlowDisk(tmp_path / "journal.db")
    journal.is_full = True
    remembered, changes = await cancelled_while_writing(journal)
    assert (remembered.memory, journal.memory(), changes) == (Memory(), Memory(), [])
