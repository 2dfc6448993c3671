"""The rim of every process: told to stop by a signal, ended with a status that says why."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fleetward.bus.logs import log, setup_logging
from fleetward.bus.waiting import cancelled
from fleetward.contracts.errors import FleetwardError

_logger = logging.getLogger(__name__)

EXIT_FAILED = 1

_Result = TypeVar("_Result")


def exit_status(name: str, run: Callable[[], None]) -> int:
    """Run the process ``name`` to its end; a FleetwardError is logged and makes it EXIT_FAILED."""
    setup_logging(name)
    try:
        run()
    except FleetwardError as error:
        log(_logger, "process.failed", level=logging.ERROR, error=str(error))
        return EXIT_FAILED
    return 0


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; call it on the main thread's running loop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def unless_stopped(
    stopping: asyncio.Event, work: Coroutine[Any, Any, _Result]
) -> _Result | None:
    """What ``work`` returns or raises, however long it takes; None when told to stop first."""
    working = asyncio.ensure_future(work)
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if working.done():
        return working.result()
    await cancelled({working})
    return None
