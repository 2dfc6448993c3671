"""Starts a model-registry process: reads settings, builds the parts, answers until told to stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from datetime import datetime, timezone

import uvloop

from fleetward.bus import connection as bus
from fleetward.bus.logs import setup_logging
from fleetward.bus.readiness import notify_ready
from fleetward.bus.requests import answer
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.registry import GrantFetch, MoveAlias, RegisterModel
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import SigningKey
from model_registry.handlers import Registry
from model_registry.objects import open_objects
from model_registry.settings import Settings, read_settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 1 when started wrongly."""
    setup_logging(Principal.REGISTRY.value)
    try:
        settings = read_settings(os.environ)
    except FleetwardError as error:
        sys.exit(f"model-registry: {error}")
    setup_tracing(Principal.REGISTRY.value, settings.traces_dir)
    uvloop.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Answer requests until the process is told to stop."""
    stopped = _stop_signal()
    shutil.rmtree(settings.incoming_dir, ignore_errors=True)
    settings.incoming_dir.mkdir(parents=True)
    key = SigningKey.load(settings.signing_key)
    async with open_objects(settings.store) as objects:
        await objects.prepare()
        await objects.remove_stale_uploads(_now())
        connection = await bus.connect(settings.bus)
        registry = Registry(
            connection=connection, objects=objects, key=key, settings=settings, now=_now
        )
        await answer(connection, RegisterModel, registry.register_model)
        await answer(connection, MoveAlias, registry.move_alias)
        await answer(connection, GrantFetch, registry.grant_fetch)
        await connection.flush()
        notify_ready()
        await stopped.wait()
        await bus.close(connection)


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _now() -> datetime:
    return datetime.now(timezone.utc)


if __name__ == "__main__":
    main()
