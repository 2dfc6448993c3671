"""Tells robots what is durable, and rollouts how models do; both may be repeated at will.

Summaries are owed from the catalog's commit until the bus acknowledged them, so neither a crash
nor an outage loses one; their ids make a second copy harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import nats.errors
from nats.aio.client import Client

from fleetward.bus.errors import PublishError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.contracts.telemetry import InferenceSummarized, TelemetryStored
from telemetry_ingest.errors import StorageFailedError, StorageFullError
from telemetry_ingest.settings import Settings
from telemetry_ingest.store import Store
from telemetry_ingest.threads import OneThread

_logger = logging.getLogger(__name__)


class Announcer:
    """Publishes watermarks (core, at most once each) and summaries (stored, exactly once)."""

    def __init__(
        self,
        settings: Settings,
        connection: Client,
        store: Store,
        writing: OneThread,
        now_ns: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._store = store
        self._writing = writing
        self._now_ns = now_ns
        self._due = asyncio.Event()

    def wake(self) -> None:
        """There may be summaries to publish."""
        self._due.set()

    async def announce(self, watermarks: Iterable[TelemetryStored]) -> None:
        """One that is lost is announced again within ``announce_every_s``."""
        try:
            for watermark in watermarks:
                await publish(self._connection, watermark)
        except nats.errors.Error as error:
            log(_logger, "watermark.failed", level=logging.WARNING, error=repr(error))

    async def run(self) -> None:
        """Publish what is due when woken, and everything recent every ``announce_every_s``."""
        self._due.set()
        while True:
            try:
                async with asyncio.timeout(self._settings.announce_every_s):
                    await self._due.wait()
            except TimeoutError:
                await self._announce_recent()
            self._due.clear()
            await self._publish_due()

    async def _announce_recent(self) -> None:
        since_ns = self._now_ns() - int(self._settings.announce_boots_changed_within_s * 1e9)
        await self.announce(await self._writing.run(self._store.watermarks, since_ns))

    async def _publish_due(self) -> None:
        try:
            while due := await self._writing.run(self._store.due):
                acknowledged = await self._publish_all(due)
                await self._writing.run(self._store.settle_due, acknowledged)
                if len(acknowledged) < len(due):
                    return
        except (StorageFullError, StorageFailedError) as error:
            log(_logger, "summaries.not_settled", level=logging.ERROR, error=str(error))

    async def _publish_all(self, due: Sequence[InferenceSummarized]) -> list[InferenceSummarized]:
        """Boots side by side, each one's windows in their order; returns the acknowledged."""
        boots: dict[tuple[str, str], list[InferenceSummarized]] = defaultdict(list)
        for summary in due:
            boots[(summary.robot_id, summary.boot_id)].append(summary)
        published = await asyncio.gather(*(self._publish_boot(group) for group in boots.values()))
        return [summary for group in published for summary in group]

    async def _publish_boot(self, due: list[InferenceSummarized]) -> list[InferenceSummarized]:
        done: list[InferenceSummarized] = []
        try:
            for summary in due:
                name = f"{summary.robot_id}:{summary.boot_id}:{summary.window}"
                await publish(self._connection, summary, message_id=name)
                done.append(summary)
        except PublishError as error:
            log(_logger, "summary.not_acknowledged", level=logging.WARNING, error=str(error))
        return done
