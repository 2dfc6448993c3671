"""Runs one robot's bridge until SIGTERM: reads the environment, builds, waits, stops."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from edge_bridge.bridge import Bridge
from edge_bridge.errors import SettingsError
from edge_bridge.settings import Settings, settings_from
from edge_bridge.sources import DirectorySource, Source
from fleetward.bus.logs import log, setup_logging
from fleetward.bus.readiness import notify_ready
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.errors import FleetwardError

_logger = logging.getLogger(__name__)


def main() -> int:
    """The process's exit status: 0 after SIGTERM, 1 when it cannot run or a part broke."""
    setup_logging("edge-bridge")
    try:
        settings = settings_from(os.environ)
        setup_tracing(f"edge-bridge-{settings.robot_id}", settings.traces_dir)
        asyncio.run(_run(settings))
    except FleetwardError as problem:
        log(_logger, "bridge.failed", level=logging.ERROR, reason=str(problem))
        return 1
    return 0


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Bridge(settings, source=_source(settings)) as bridge:
        await bridge.ready()
        _tell_supervisor()
        failed = asyncio.ensure_future(bridge.failed())
        stopping = asyncio.ensure_future(stopped.wait())
        await asyncio.wait({failed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if failed.done():
            failed.result()
        failed.cancel()


def _tell_supervisor() -> None:
    """A supervisor that is gone is no reason for a robot to stop serving."""
    try:
        notify_ready()
    except OSError as problem:
        log(_logger, "bridge.ready_unheard", level=logging.WARNING, reason=str(problem))


def _source(settings: Settings) -> Source:
    if settings.frames_dir is None:
        raise SettingsError("FLEETWARD_FRAMES_DIR is not set. Point it at a directory of images.")
    return DirectorySource(
        settings.frames_dir,
        rate_hz=settings.frame_rate_hz,
        height_px=settings.frame_height_px,
        width_px=settings.frame_width_px,
    )


if __name__ == "__main__":
    sys.exit(main())
