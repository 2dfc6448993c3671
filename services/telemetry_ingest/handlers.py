"""Takes frames from the bus, makes them durable, and only then tells the bus and the robots.

The order is the promise: segment and catalog on disk, acknowledgements, watermarks, summaries.
Every step may be repeated after a crash without storing or announcing anything twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import nats.errors
from nats.aio.client import Client

from fleetward.bus.dead_letters import keep
from fleetward.bus.deliveries import Delivery
from fleetward.bus.errors import PublishError
from fleetward.bus.logs import log
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.telemetry import QueryTelemetry, TelemetryQueried
from telemetry_ingest.announcements import Announcer
from telemetry_ingest.arrivals import Refused, read
from telemetry_ingest.buffer import Buffer, Waiting
from telemetry_ingest.errors import FrameRefusedError, StorageFailedError, StorageFullError
from telemetry_ingest.housekeeping import Housekeeping
from telemetry_ingest.query import Reader
from telemetry_ingest.settings import Settings
from telemetry_ingest.store import Arrived, Committed, Store
from telemetry_ingest.threads import OneThread

_logger = logging.getLogger(__name__)

TOO_MANY = FrameRefusedError(
    "its boot has too many gaps, or its robot too many boots. Restart the robot's bridge with its "
    "spool intact; if that does not help, look for what drops its frames."
)


class Ingest:
    """Load, decide, save, publish: for frames as they arrive and for questions about them."""

    def __init__(
        self,
        settings: Settings,
        connection: Client,
        store: Store,
        housekeeping: Housekeeping,
        reader: Reader,
        now_ns: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._store = store
        self._housekeeping = housekeeping
        self._reader = reader
        self._now_ns = now_ns
        self._writing = OneThread("store")
        self._reading = OneThread("query")
        self._buffer = Buffer(settings)
        self._announcer = Announcer(settings, connection, store, self._writing, now_ns)

    async def take(self, deliveries: Sequence[Delivery]) -> None:
        """Buffer a batch; waits while the buffer is full. Answers only what is poison."""
        for delivery in deliveries:
            match read(delivery.subject, delivery.payload):
                case Refused(error=error, settled=settled):
                    await self._refuse(delivery, error, settled)
                case arrived:
                    await self._buffer.put(Waiting(delivery, arrived))

    async def answer(self, query: QueryTelemetry) -> TelemetryQueried:
        """See Reader.answer: durable samples only."""
        return await self._reading.run(self._reader.answer, query)

    async def store(self) -> None:
        """Make batches durable until ``drain``; a batch that fails is tried until it succeeds."""
        while batch := await self._buffer.next_batch():
            committed = await self._commit(batch)
            await self._acknowledge(batch, committed)
            await self._announcer.announce(committed.watermarks)
            self._announcer.wake()

    async def announce(self) -> None:
        """Publish due summaries as they come, and recent watermarks again and again."""
        await self._announcer.run()

    async def tidy(self) -> None:
        """Expire and merge segments for ever."""
        while True:
            await asyncio.sleep(self._settings.maintenance_every_s)
            try:
                done = await self._writing.run(self._housekeeping.round, self._now_ns())
            except (StorageFullError, StorageFailedError) as error:
                log(_logger, "history.tidy_failed", level=logging.ERROR, error=str(error))
                continue
            if done.expired or done.merged:
                log(_logger, "history.tidied", expired=done.expired, merged=done.merged)

    async def drain(self) -> None:
        """Nothing more comes; ``store`` returns once what it has is durable."""
        await self._buffer.close()

    async def _refuse(
        self, delivery: Delivery, error: FleetwardError, settled: Arrived | None = None
    ) -> None:
        """Dead-letter a delivery; one that at least has a name ends once it counts as settled."""
        try:
            await keep(self._connection, delivery, error)
        except PublishError as problem:
            log(_logger, "dead_letter.failed", level=logging.ERROR, error=str(problem))
            await delivery.nak(self._settings.refused_retry_s)
            return
        if settled is None:
            await delivery.terminate()
        else:
            await self._buffer.put(Waiting(delivery, settled))

    async def _commit(self, batch: list[Waiting]) -> Committed:
        arrived = [waiting.arrived for waiting in batch]
        delay_s = 0.0
        while True:
            try:
                committed = await self._writing.run(self._store.commit, arrived, self._now_ns())
            except (StorageFullError, StorageFailedError) as error:
                delay_s = self._longer(delay_s)
                self._log_failure(error, batch, delay_s)
                await asyncio.sleep(delay_s)
                continue
            if delay_s:
                log(_logger, "storage.recovered", frames=len(batch))
            return committed

    async def _acknowledge(self, batch: list[Waiting], committed: Committed) -> None:
        """An acknowledgement that is lost only makes the frame come again, as a duplicate."""
        try:
            for waiting in batch:
                if waiting.arrived.key in committed.refused:
                    await self._refuse(waiting.delivery, TOO_MANY)
                elif waiting.arrived.columns is None:
                    await waiting.delivery.terminate()
                else:
                    await waiting.delivery.ack()
        except nats.errors.Error as error:
            log(_logger, "ack.failed", level=logging.WARNING, error=repr(error))

    def _longer(self, delay_s: float) -> float:
        settings = self._settings
        return min(settings.retry_longest_s, max(settings.retry_first_s, 2 * delay_s))

    def _log_failure(self, error: Exception, batch: list[Waiting], delay_s: float) -> None:
        full = isinstance(error, StorageFullError)
        log(
            _logger,
            "storage.full" if full else "storage.failed",
            level=logging.ERROR,
            error=str(error),
            waiting_frames=len(batch) + len(self._buffer),
            retry_in_s=delay_s,
            todo=f"Free space where {self._settings.state_dir} lies, or lower "
            "FLEETWARD_TELEMETRY_KEEP_DAYS. Nothing is acknowledged meanwhile, so robots keep "
            "their frames.",
        )
