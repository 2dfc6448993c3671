"""Cuts the power of a robot whose bridge updates itself, from within its launcher and each of its releases.

They have neither tests nor testkit: this file is copied to where they find it, with ``testkit/power_cut.py``.
The disk is copied around every change of the launcher's choice and of what the updater remembers, around and
during each program that installs or tries a release, and as each step begins, which then kills the bridge;
with ``every`` also around each operation on the files that say what may be started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testkit.power_cut import COPIES_LIMIT, TornCopyError, copied

if TYPE_CHECKING:
    from edge_bridge.converging.converge import Memory
    from fleetward.contracts.event import Event
    from fleetward.contracts.ids import ModelName
    from fleetward.releases.launch import Choice

CUTS = "FLEETWARD_TEST_CUTS"
"""JSON: where the copies go, the image, its device's statistics, where it is mounted, steps, every."""
STEP = "release."
"""What the name of a step begins with in the log."""
BEFORE, AFTER = "before", "after"
CHOICE, MEMORY = "choice", "memory"
DURING_S = 0.25
OPERATIONS = ("fsync", "fdatasync", "replace", "rename", "unlink")
DECIDING = ("choice.json", "choice.json.partial", "complete", "complete.partial")
"""Files that say what may be started."""


class Cuts:
    """What would be left of the disk, in files whose names are in the order of time."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.steps: list[str] = told["steps"]
        self.every: bool = told["every"]
        self.place = Path(told["place"])
        self._left = Path(told["left"])
        self._image, self._statistics = Path(told["image"]), Path(told["statistics"])
        self._turn = threading.RLock()

    def cut(self, when: str, said: bytes = b"", limit: int = COPIES_LIMIT) -> None:
        """Copy the disk as it lies there. ``said``: what is, or was just, written to it."""
        with self._turn:
            whole = self._left / f"{time.monotonic_ns():020}-{when}.img"
            if said:
                whole.with_suffix(".said").write_bytes(said)
            copied(self._image, self._statistics, whole.with_suffix(".copying"), limit)
            whole.with_suffix(".copying").rename(whole)

    def kill(self, when: str) -> None:
        """Copy the disk and die."""
        with self._turn:
            self.cut(when)
            os.kill(os.getpid(), signal.SIGKILL)


class DeathAtStep(logging.Handler):
    """Hears which step begins, before it does anything."""

    def __init__(self, cuts: Cuts) -> None:
        super().__init__()
        self._cuts = cuts

    def emit(self, record: logging.LogRecord) -> None:
        """Die here, in the middle of whatever else this process does."""
        event = str(getattr(record.msg, "event", ""))
        if event.removeprefix(STEP) in self._cuts.steps and event.startswith(STEP):
            self._cuts.kill(event.removeprefix(STEP))


def arm() -> None:
    """In a bridge, before it does anything."""
    cuts = _cuts()
    if cuts is None:
        return
    from edge_bridge.converging import under_way
    from fleetward.releases.launch import Place

    logging.getLogger(under_way.__name__).addHandler(DeathAtStep(cuts))
    _around_choice(Place, cuts)
    _around_memory(cuts)
    _around_programs(cuts)


def launch(source: str, argv: list[str]) -> None:
    """Be the launcher whose code lies in ``source``."""
    launcher: dict[str, Any] = {"__name__": "launch"}
    exec(compile(Path(source).read_text(), source, "exec"), launcher)
    cuts = _cuts()
    if cuts is not None:
        _around_choice(launcher["Place"], cuts)
    launcher["main"](argv)


def _cuts() -> Cuts | None:
    told = os.environ.get(CUTS)
    if not told:
        return None
    cuts = Cuts(json.loads(told))
    if cuts.every:
        _around_operations(cuts)
    return cuts


def _around_choice(place: Any, cuts: Cuts) -> None:  # noqa: ANN401 (its class, of the launcher's own code)
    write = place.write

    def around(self: object, choice: Choice) -> None:
        said = json.dumps(choice._asdict()).encode()
        cuts.cut(f"{BEFORE}-{CHOICE}", said)
        write(self, choice)
        cuts.cut(f"{AFTER}-{CHOICE}", said)

    place.write = around


def _around_memory(cuts: Cuts) -> None:
    from edge_bridge.journal import Journal
    from fleetward.contracts.bridge_release import BRIDGE_MODEL
    from fleetward.contracts.codec import encode

    write = Journal.write

    def around(
        self: Journal,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
        traceparent: str = "",
    ) -> None:
        memory = memories.get(BRIDGE_MODEL)
        said = encode(memory) if memory is not None else b""
        if said:
            cuts.cut(f"{BEFORE}-{MEMORY}", said)
        write(self, memories, facts, traceparent)
        if said:
            cuts.cut(f"{AFTER}-{MEMORY}", said)

    Journal.write = around  # type: ignore[method-assign]  # in this process alone


def _around_programs(cuts: Cuts) -> None:
    from edge_bridge.updating import installing

    run: Callable[..., Any] = installing._run

    async def around(argv: Sequence[str], *others: object) -> None:
        name = next(word for word in ("install", "check", "sync") if word in " ".join(argv))
        cuts.cut(f"{BEFORE}-{name}")
        cutting = asyncio.ensure_future(_now_and_then(cuts, f"during-{name}"))
        try:
            await run(argv, *others)
        finally:
            cutting.cancel()
        cuts.cut(f"{AFTER}-{name}")

    installing._run = around  # type: ignore[assignment]  # in this process alone


async def _now_and_then(cuts: Cuts, when: str) -> None:
    while True:
        await asyncio.sleep(DURING_S)
        with suppress(TornCopyError):  # it writes: the next one may find it resting
            await asyncio.to_thread(cuts.cut, when, b"", 2)


def _around_operations(cuts: Cuts) -> None:
    for name in OPERATIONS:
        setattr(os, name, _cut_around(cuts, name, getattr(os, name)))


def _cut_around(cuts: Cuts, name: str, kept: Callable[..., Any]) -> Callable[..., Any]:
    def around(file: int | str | Path, *others: object, **named: object) -> object:
        if not _decides(file, cuts.place / "bridge"):
            return kept(file, *others, **named)
        cuts.cut(f"{BEFORE}-{name}")
        returned = kept(file, *others, **named)
        cuts.cut(f"{AFTER}-{name}")
        return returned

    return around


def _decides(file: int | str | Path, bridge: Path) -> bool:
    """Whether an operation is on a file that says what may be started, or on the directory of one."""
    path = Path(f"/proc/self/fd/{file}").readlink() if isinstance(file, int) else Path(file)
    is_place = path == bridge or path.parent in {bridge, bridge / "releases"}
    return path.is_relative_to(bridge) and (path.name in DECIDING or is_place)
