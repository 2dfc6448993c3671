"""Runs one robot's bridge until SIGTERM: reads the environment, builds, waits, stops."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from edge_bridge.bridge import Bridge
from edge_bridge.settings import Settings, settings_from
from edge_bridge.sources.choice import frames_of
from fleetward.bus.logs import log
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.readiness import keep_watchdog_calm, notify_ready
from fleetward.bus.tracing import setup_tracing

_logger = logging.getLogger(__name__)

NAME = "edge-bridge"


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises what broke a part of the bridge."""
    stopping = stop_signal()
    frames = frames_of(settings)
    bridge = Bridge(
        settings, source=frames.source, on_result=frames.on_result, sources=frames.sources
    )
    async with bridge:
        await bridge.ready()
        _tell_supervisor()
        calming = asyncio.create_task(keep_watchdog_calm())
        try:
            await unless_stopped(stopping, bridge.failed())
        finally:
            calming.cancel()


def _tell_supervisor() -> None:
    """A supervisor that is gone is no reason for a robot to stop serving."""
    try:
        notify_ready()
    except OSError as problem:
        log(_logger, "bridge.ready_unheard", level=logging.WARNING, reason=str(problem))


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


def _run() -> None:
    settings = settings_from(os.environ)
    setup_tracing(f"{NAME}-{settings.robot_id}", settings.traces_dir)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
