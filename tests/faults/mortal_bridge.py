"""A bridge that is killed with -9 as it begins a step: ``python -m tests.faults.mortal_bridge``.

Arguments: steps, separated by commas, of which the first that it comes to kills it; a directory into
which it copies what a power cut would leave of its disk at that instant, and around every change of
what it remembers; the image of its disk, and where that is mounted.
"""

from __future__ import annotations

import logging
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_bridge.converging import under_way
from edge_bridge.converging.converge import Memory
from edge_bridge.files import Disk
from edge_bridge.journal import Journal
from fleetward.bus.logs import Said
from fleetward.contracts.codec import encode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName
from testkit.disk_image import DiskImage

STEP = "bridge."
"""What the name of a step begins with in the log."""
BEFORE, AFTER = "before-memory", "after-memory"
MEMORY = ".memory"
"""Beside an image: what the robot was about to remember, or remembers."""
EVERY_CUT = "FLEETWARD_TEST_EVERY_CUT"
"""Set: the power is cut around every operation on the store's files as well."""


class PowerCuts:
    """What would be left of the disk, in files whose names are in the order of time."""

    def __init__(self, left: Path, disk: DiskImage) -> None:
        self._left = left
        self._disk = disk
        self._turn = threading.RLock()

    def cut(self, when: str, memory: Memory | None = None) -> None:
        """Copy the disk as it lies there. ``memory``: what is, or was just, written to it."""
        with self._turn:
            whole = self._left / f"{len(list(self._left.glob('*.img'))):04}-{when}.img"
            if memory is not None:
                whole.with_suffix(MEMORY).write_bytes(encode(memory))
            self._disk.cut(whole.with_suffix(".copying"))
            whole.with_suffix(".copying").rename(whole)

    def kill(self, when: str) -> None:
        """Copy the disk and die."""
        with self._turn:
            self.cut(when)
            os.kill(os.getpid(), signal.SIGKILL)


class DeathAtStep(logging.Handler):
    """Hears which step begins, before it does anything."""

    def __init__(self, steps: Sequence[str], cuts: PowerCuts) -> None:
        super().__init__()
        self._steps = steps
        self._cuts = cuts

    def emit(self, record: logging.LogRecord) -> None:
        """Die here, in the middle of whatever else this process does."""
        step = record.msg.event.removeprefix(STEP) if isinstance(record.msg, Said) else ""
        if step in self._steps:
            self._cuts.kill(step)


def cut_around_memory(cuts: PowerCuts) -> None:
    """Before and after every change of what the robot remembers."""
    write = Journal.write

    def cut_around(
        journal: Journal,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
        traceparent: str = "",
    ) -> None:
        for memory in memories.values():
            cuts.cut(BEFORE, memory)
        write(journal, memories, facts, traceparent)
        for memory in memories.values():
            cuts.cut(AFTER, memory)

    Journal.write = cut_around  # type: ignore[method-assign, assignment]  # in this process alone


def cut_around_files(cuts: PowerCuts) -> None:
    """Before and after everything that the store does to its files."""
    for name in ("write_at", "sync", "rename", "sync_directory", "unlink"):
        kept = getattr(Disk, name)

        def cut_around(
            disk: Disk, *arguments: object, kept: object = kept, name: str = name
        ) -> object:
            cuts.cut(f"before-{name}")
            returned = kept(disk, *arguments)  # type: ignore[operator]  # a method of Disk
            cuts.cut(f"after-{name}")
            return returned

        setattr(Disk, name, cut_around)


def main(steps: str, left: str, image: str, place: str) -> None:
    """Run the bridge that the environment describes."""
    cuts = PowerCuts(Path(left), DiskImage(Path(image), Path(place)))
    logging.getLogger(under_way.__name__).addHandler(DeathAtStep(steps.split(","), cuts))
    cut_around_memory(cuts)
    if os.environ.get(EVERY_CUT):
        cut_around_files(cuts)
    runpy.run_module("edge_bridge", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
