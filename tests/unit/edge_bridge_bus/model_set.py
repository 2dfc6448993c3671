"""Three pipelines whose models switch together, on a journal as it is on a robot's disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from edge_bridge.converging.converge import Memory, Placed, commit, return_to
from edge_bridge.converging.remembering import Change, Remembered
from edge_bridge.converging.together import Standing, Together
from edge_bridge.disk_thread import DiskThread
from edge_bridge.journal import Journal, JournalError
from edge_bridge.link import Link
from edge_bridge.reporting import Reporter
from edge_bridge.uplink import UplinkLimits
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.robots import RobotTarget
from testkit.telemetry import digest_of
from tests.unit.edge_bridge_bus.test_converge import target

NAMES = (ModelName("detector"), ModelName("segmenter"), ModelName("speech"))
OLD = Placed(ModelRef(ModelName("old"), Version("v1")), digest_of("0"))


def of(name: ModelName) -> RobotTarget:
    return replace(target("a", 3), model=ModelRef(name, Version("v2")), together=NAMES)


class Pipeline:
    """One that stands where it is put."""

    def __init__(
        self, remembered: Remembered, target: RobotTarget | None, standing: Standing
    ) -> None:
        self.remembered = remembered
        self.target = target
        self.standing = standing
        self.told: list[str] = []
        self.left: RobotTarget | None = None
        self.returns = True
        """Whether there is an earlier model."""

    @property
    def activated(self) -> RobotTarget | None:
        return self.remembered.memory.activated

    @property
    def is_committed(self) -> bool:
        return self.activated is not None and self.activated == self.target

    def switch(self) -> Awaitable[None]:
        self.told.append("switch")
        self.standing = Standing.SERVES

        async def settle() -> None:
            self.told.append("settle")

        return settle()

    def interrupt(self) -> None:
        self.told.append("interrupt")

    async def prepare(self) -> None:
        self.told.append("prepare")

    def commitment(self) -> Change:
        accepted = replace(self.remembered.memory, target=self.target)
        return Change(self.remembered, commit(accepted))

    def committed(self) -> None:
        self.told.append("committed")

    def leave(self, reason: str) -> None:
        self.told.append(reason)
        if self.returns:
            self.left = self.activated

    def fallen(self) -> Change | None:
        if self.left is None:
            return None
        return Change(self.remembered, return_to(self.remembered.memory, OLD))

    def fall_written(self) -> None:
        self.left = None


class Watched(Journal):
    """Counts transactions, and tells who wants to know that one is under way."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes: list[list[ModelName | None]] = []
        self.on_write: Callable[[], object] = lambda: None
        self.is_full = False

    def write(
        self,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
        traceparent: str = "",
    ) -> None:
        self.on_write()
        if self.is_full:
            raise JournalError("the disk is full.")
        super().write(memories, facts, traceparent)
        self.writes.append(list(memories))


class Robot:
    """The three pipelines, each with its entry, and where they stand."""

    def __init__(self, directory: Path, *standings: Standing) -> None:
        self.journal = Watched(directory / "journal.db")
        reporter = Reporter(self.journal, cast(Link, None), UplinkLimits(), DiskThread())
        self.together = Together()
        self.pipelines = [
            Pipeline(Remembered(Memory(active=OLD), reporter, lambda: None, name), of(name), at)
            for name, at in zip(NAMES, standings, strict=True)
        ]
        for pipeline in self.pipelines:
            self.together.add(pipeline)

    async def commit(self, at: int) -> bool:
        return await self.together.commit(self.pipelines[at], of(NAMES[at]))

    @property
    def committed(self) -> list[bool]:
        """As a bridge would find it that starts now."""
        return [self.journal.memory(name).activated == of(name) for name in NAMES]
