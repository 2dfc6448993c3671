"""A bridge of two models that dies at the first moment where none died before: ``python -m tests.faults.mortal_set``.

A moment is a step that one of its pipelines begins, or a change that one of them has just remembered: so
also the one between the commits of two models that switch together. Arguments: the moments that were,
separated by commas; a directory for what a power cut leaves; the image of its disk, and where that is mounted.
"""

from __future__ import annotations

import asyncio
import logging
import runpy
import sys
import threading
from collections.abc import Callable, Sequence
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
ACCEPTED, FETCHED, COMMITTED = "accepted", "fetched", "committed"
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


def die_once_remembered(comes: Callable[[str], None]) -> None:
    """After every change of what a pipeline remembers, and before the other one changes anything."""
    write, turn = Journal.write, threading.Lock()

    def written(
        journal: Journal,
        memory: Memory | None = None,
        facts: Sequence[Event] = (),
        traceparent: str = "",
        pipeline: ModelName | None = None,
    ) -> None:
        with turn:
            write(journal, memory, facts, traceparent, pipeline)
            if memory is not None:
                comes(f"{_change(memory)}-{pipeline or OWN}")

    Journal.write = written  # type: ignore[method-assign, assignment]  # in this process alone


def _change(memory: Memory) -> str:
    if memory.settled_generation == memory.generation:
        return COMMITTED
    return FETCHED if memory.bytes_fetched else ACCEPTED


def main(were: str, left: str, image: str, place: str) -> None:
    """Run the bridge that the environment describes."""
    cuts = PowerCuts(Path(left), DiskImage(Path(image), Path(place)))
    were_before = frozenset(were.split(","))

    def comes(moment: str) -> None:
        if moment not in were_before:
            cuts.kill(moment)

    logging.getLogger(under_way.__name__).addHandler(DeathAtStep(comes))
    die_once_remembered(comes)
    runpy.run_module("edge_bridge", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
