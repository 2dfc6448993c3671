"""A collector's process, and what it told, awaited: a bridge without the rest of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from edge_bridge.logs.collecting import Collecting
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.wire import Live, Message, Sealed
from fleetward.logs.record import LogRecord
from tests.unit.edge_bridge_logs.records import found

LIMITS = LogSettings(
    enabled=True, segment_s=0.3, retry_wait_s=0.05, retry_wait_limit_s=0.1, live_every_s=0.05
)
WAIT_S = 20.0


class Heard:
    """What the collector told, awaited."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fresh = asyncio.Event()
        self.live: list[LogRecord] = []
        self.kept: list[LogRecord] = []

    def take(self, message: Message) -> None:
        if isinstance(message, Live):
            lines = [each.line for each in message.records]
            self.live += [msgspec.json.decode(line, type=LogRecord) for line in lines]
        elif isinstance(message, Sealed):
            path = self._directory / f"{message.segment.name}.jsonl.zst"
            self.kept += [each.record for each in found(path)]
            path.unlink()
        self._fresh.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looked at with every message."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._fresh.clear()
                await self._fresh.wait()

    async def record(self, body: str, *, live: bool = False) -> LogRecord:
        """The first whose body has this in it."""
        records = self.live if live else self.kept
        await self.until(lambda: any(body in each.body for each in records))
        return next(each for each in records if body in each.body)


@asynccontextmanager
async def collector(
    directory: Path, limits: LogSettings = LIMITS
) -> AsyncIterator[tuple[Collecting, Heard]]:
    """One that runs for as long as the block does."""
    collecting, told = Collecting(directory, limits), Heard(directory)
    running = asyncio.ensure_future(collecting.run(told.take))
    try:
        yield collecting, told
    finally:
        running.cancel()
        await collecting.stop()
