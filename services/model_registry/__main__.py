"""Starts a model-registry process: reads settings, builds the parts, answers until told to stop."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime, timezone

import uvloop

from fleetward.bus.connection import close, connect
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.readiness import notify_ready
from fleetward.bus.requests import answer
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.registry import GrantFetch, MoveAlias, RegisterModel
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import SigningKey
from model_registry.handlers import Registry
from model_registry.objects import open_objects
from model_registry.settings import Settings, settings_from

NAME = Principal.REGISTRY.value


async def serve(settings: Settings) -> None:
    """Answer requests until the process is told to stop."""
    stopping = stop_signal()
    shutil.rmtree(settings.incoming_dir, ignore_errors=True)
    settings.incoming_dir.mkdir(parents=True)
    key = SigningKey.load(settings.signing_key)
    async with open_objects(settings.store) as objects:
        await objects.prepare()
        await objects.remove_stale_uploads(_now())
        connection = await unless_stopped(stopping, connect(settings.bus))
        if connection is None:
            return
        registry = Registry(
            connection=connection, objects=objects, key=key, settings=settings, now=_now
        )
        await answer(connection, RegisterModel, registry.register_model)
        await answer(connection, MoveAlias, registry.move_alias)
        await answer(connection, GrantFetch, registry.grant_fetch)
        await connection.flush()
        notify_ready()
        await stopping.wait()
        await close(connection)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


def _run() -> None:
    settings = settings_from(os.environ)
    setup_tracing(NAME, settings.traces_dir)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
