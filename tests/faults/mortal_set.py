"""A bridge of two models that dies at the first moment where none died before: ``python -m tests.faults.mortal_set``.

A moment is a step that one of its pipelines begins, a change that one of them is about to remember in a
transaction that began, or what they have just remembered. Arguments: the moments that were, separated by
commas; of what kind the one is that kills it, empty: any; a directory for what a power cut leaves; the image
of its disk, and where that is mounted.
"""

from __future__ import annotations

import asyncio
import logging
import runpy
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_bridge.converging import under_way
from edge_bridge.converging.converge import Memory
from edge_bridge.journal import Journal
from fleetward.bus.logs import Said
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName
from testkit.disk_image import DiskImage
from tests.faults.mortal_bridge import STEP, PowerCuts

OWN = "own"
"""The pipeline that has no name."""
ACCEPTED, FETCHED, COMMITTED, LEFT = "accepted", "fetched", "committed", "left"
WRITING = "writing"
"""Before a moment's name: in the middle of the transaction that remembers it."""
_CONVERGER = "converger:"


class DeathAtStep(logging.Handler):
    """Hears which pipeline begins which step, before it does anything."""

    def __init__(self, comes: Callable[[str], None]) -> None:
        super().__init__()
        self._comes = comes

    def emit(self, record: logging.LogRecord) -> None:
        """The task is named for its pipeline."""
        task = asyncio.current_task()
        if isinstance(record.msg, Said) and task is not None:
            pipeline = task.get_name().partition(_CONVERGER)[2] or OWN
            self._comes(f"{record.msg.event.removeprefix(STEP)}-{pipeline}")


def die_as_it_remembers(comes: Callable[[str], None]) -> None:
    """In the middle of every change of what is remembered, after it, and before anything else changes."""
    write, remember, turn = Journal.write, Journal._remember, threading.Lock()

    def written(
        journal: Journal,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
        traceparent: str = "",
    ) -> None:
        with turn:
            write(journal, memories, facts, traceparent)
            for pipeline in sorted(memories, key=lambda name: name or ""):
                comes(_moment(memories[pipeline], pipeline))

    def remembered(journal: Journal, memory: Memory, pipeline: ModelName | None) -> None:
        remember(journal, memory, pipeline)
        comes(f"{WRITING}-{_moment(memory, pipeline)}")

    Journal.write = written  # type: ignore[method-assign, assignment]  # in this process alone
    Journal._remember = remembered  # type: ignore[method-assign, assignment]  # in this process alone


def _moment(memory: Memory, pipeline: ModelName | None) -> str:
    return f"{_change(memory)}-{pipeline or OWN}"


def _change(memory: Memory) -> str:
    if memory.settled_generation == memory.generation:
        own, brought = memory.active, memory.activated
        is_left = own is not None and brought is not None and own.digest != brought.digest
        return LEFT if is_left else COMMITTED
    return FETCHED if memory.bytes_fetched else ACCEPTED


def main(were: str, kind: str, left: str, image: str, place: str) -> None:
    """Run the bridge that the environment describes."""
    cuts = PowerCuts(Path(left), DiskImage(Path(image), Path(place)))
    were_before = frozenset(were.split(","))

    def comes(moment: str) -> None:
        if moment not in were_before and kind in moment:
            cuts.kill(moment)

    logging.getLogger(under_way.__name__).addHandler(DeathAtStep(comes))
    die_as_it_remembers(comes)
    runpy.run_module("edge_bridge", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
