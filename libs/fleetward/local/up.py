"""Runs the whole system until it is told to stop, and leaves nothing behind but its state."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fleetward.local.happenings import Report
from fleetward.local.home import Home
from fleetward.local.programs import Settings, fleet
from fleetward.local.system import LocalSystem


@asynccontextmanager
async def local_system(settings: Settings, report: Report) -> AsyncIterator[LocalSystem]:
    """The running system for the length of a block; ``report`` hears of every happening.

    Raises FleetwardError when it cannot start: HomeInUseError, MissingPartError, NotReadyError.
    """
    home = Home(settings.home)
    with home.locked():
        home.prepare()
        home.remove_connection()
        system = LocalSystem(settings, home, report)
        try:
            await system.start()
            yield system
        finally:
            await asyncio.shield(system.stop())


async def run_up(
    home: Path,
    robots: int,
    *,
    robot_environment: Mapping[str, str] | None = None,
    environment: Mapping[str, Mapping[str, str]] | None = None,
    report: Report,
) -> None:
    """Run ``robots`` robots and everything they need until SIGINT or SIGTERM arrives.

    robot_environment: added to every bridge's. environment: process name -> variables added to
    that process's. Must be called in the main thread; raises FleetwardError.
    """
    settings = Settings(
        home=home, robots=fleet(robots, robot_environment), environment=environment or {}
    )
    with _stop_requests() as stop:
        running = asyncio.ensure_future(_run(settings, report))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            return


async def _run(settings: Settings, report: Report) -> None:
    async with local_system(settings, report):
        await asyncio.Event().wait()


@contextmanager
def _stop_requests() -> Iterator[asyncio.Event]:
    """An event set by Ctrl-C or SIGTERM; a second one changes nothing: stopping is bounded."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
