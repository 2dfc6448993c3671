"""Starts telemetry-ingest: builds every part, wires them, runs until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

from fleetward.bus.connection import close, connect
from fleetward.bus.logs import log
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.pull import Pull
from fleetward.bus.readiness import notify_ready
from fleetward.bus.requests import answer
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import QueryTelemetry
from telemetry_ingest import segments
from telemetry_ingest.catalog import Catalog
from telemetry_ingest.handlers import Ingest
from telemetry_ingest.housekeeping import Housekeeping
from telemetry_ingest.query import Reader
from telemetry_ingest.settings import Settings, settings_from
from telemetry_ingest.store import Store

_logger = logging.getLogger(__name__)

NAME = Principal.INGEST.value
(CONSUMER,) = consumers_of(Principal.INGEST)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. What is not durable by then was not acknowledged either."""
    stopping = stop_signal()
    catalog = open_catalog(settings)
    store = Store(settings, catalog)
    log(_logger, "history.recovered", removed_files=store.recover())
    connection = await unless_stopped(stopping, connect(settings.bus))
    if connection is None:
        return
    reader = Reader(settings)
    ingest = Ingest(
        settings, connection, store, Housekeeping(settings, catalog), reader, time.time_ns
    )
    pull = Pull(connection, CONSUMER, ingest.take, batch=settings.pull_batch_frames)
    async with asyncio.TaskGroup() as tasks:
        storing = tasks.create_task(ingest.store())
        helpers = [tasks.create_task(ingest.announce()), tasks.create_task(ingest.tidy())]
        await pull.start()
        subscription = await answer(connection, QueryTelemetry, ingest.answer)
        await connection.flush()  # ready means that the server knows of both
        notify_ready()
        log(_logger, "ingest.ready", state_dir=str(settings.state_dir))
        await stopping.wait()
        await subscription.unsubscribe()
        await pull.stop()
        await ingest.drain()
        _, unfinished = await asyncio.wait({storing}, timeout=settings.stop_within_s)
        for task in (*unfinished, *helpers):
            task.cancel()
    await close(connection)
    reader.close()
    catalog.close()


def open_catalog(settings: Settings) -> Catalog:
    """The catalog of ``state_dir``, whose folders are made when they are missing."""
    settings.segments_dir.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(settings.state_dir)
    segments.sync_directory(settings.state_dir)
    return catalog


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


def _run() -> None:
    settings = settings_from(os.environ)
    setup_tracing(NAME, settings.traces_dir)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
