"""Runs one robot's bridge until SIGTERM: reads the environment, builds, waits, stops.

Started by the launcher, it may end for another release of itself instead: then it becomes the launcher.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from functools import partial

from edge_bridge.bridge import Bridge
from edge_bridge.settings import Settings, settings_from
from edge_bridge.sources.choice import frames_of
from edge_bridge.updating.launched import Launched, launched_by
from fleetward.bus.logs import log
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.readiness import calm_watchdog, keep_watchdog_calm, notify_ready
from fleetward.bus.tracing import setup_tracing

_logger = logging.getLogger(__name__)

NAME = "edge-bridge"


async def serve(settings: Settings, launched: Launched | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until another release is to be started.

    Raises what broke a part of the bridge.
    """
    stopping = stop_signal()
    frames = frames_of(settings)
    bridge = Bridge(
        settings,
        source=frames.source,
        on_result=frames.on_result,
        sources=frames.sources,
        launched=launched,
    )
    async with bridge:
        calming = asyncio.create_task(keep_watchdog_calm())
        try:
            await bridge.ready()
            _tell_supervisor()
            if launched is not None:
                await asyncio.to_thread(launched.settle)
            await unless_stopped(stopping, _until_it_ends(bridge, launched))
        finally:
            calming.cancel()
            calm_watchdog()  # from here on to the end, which must take no longer than its patience
    if launched is not None and stopping.is_set():
        launched.leaving.clear()  # told to stop: nothing takes our place


async def _until_it_ends(bridge: Bridge, launched: Launched | None) -> None:
    """Until a part of the bridge breaks, whose error this raises, or it makes way for another release."""
    failing = asyncio.ensure_future(bridge.failed())
    leaving = asyncio.ensure_future(launched.leaving.wait() if launched else _for_ever())
    try:
        await asyncio.wait({failing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
    finally:
        failing.cancel()
        leaving.cancel()


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def _tell_supervisor() -> None:
    """A supervisor that is gone is no reason for a robot to stop serving."""
    try:
        notify_ready()
    except OSError as problem:
        log(_logger, "bridge.ready_unheard", level=logging.WARNING, reason=str(problem))


def main() -> int:
    """The process's exit status, unless it becomes the launcher."""
    launched = launched_by(os.environ)
    status = exit_status(NAME, partial(_run, launched))
    if launched is not None and launched.leaving.is_set():
        launched.become_launcher()
    return status


def _run(launched: Launched | None) -> None:
    try:
        settings = settings_from(os.environ)
        setup_tracing(f"{NAME}-{settings.robot_id}", settings.traces_dir)
        asyncio.run(serve(settings, launched))
    except Exception as problem:
        if launched is not None and launched.on_trial:
            launched.failed(f"{type(problem).__name__}: {problem}")
        raise


if __name__ == "__main__":
    sys.exit(main())
