"""The demo: a whole fleet on this machine, a good model, a bad one, and a few broken things.

python -m examples.demo [--home .fleetward/demo] [--robots 5] [--plain]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from examples.demo import releases
from examples.demo.observer import Observer, observing
from examples.demo.report import Report
from examples.demo.story import Stage, perform, write_down
from examples.demo.summary import summary
from examples.demo.view import View, save_picture, told
from examples.demo.webhook import webhook
from fleetward.bus.tracing import setup_tracing
from fleetward.client.fleet import Fleet
from fleetward.contracts.errors import FleetwardError
from fleetward.local.happenings import Happening
from fleetward.local.programs import Settings, fleet
from fleetward.local.system import LocalSystem
from fleetward.local.up import local_system

HOME = Path(".fleetward/demo")
REPORT = "report.json"
PICTURE = "v3-taken-back.svg"
FRAME_RATE_HZ = 8
CHECK_IN_S = 1
REFRESH_PER_S = 4
KEPT_PROMISES, BROKEN_PROMISES = 0, 1


def main() -> None:
    """Run the demo; exits 0 only when everything it promised happened."""
    asked = _arguments()
    console = Console()
    logging.getLogger().addHandler(logging.NullHandler())  # the story tells what breaks
    try:
        report = asyncio.run(run(asked.home, asked.robots, console, plain=asked.plain))
    except FleetwardError as error:
        console.print(f"[bold red]the demo cannot go on:[/] {error}")
        sys.exit(BROKEN_PROMISES)
    console.print(summary(report, asked.home / REPORT))
    sys.exit(KEPT_PROMISES if report.kept else BROKEN_PROMISES)


async def run(home: Path, robots: int, console: Console, *, plain: bool) -> Report:
    """Start a fresh system in ``home``, tell the story on it, stop it; returns what was seen."""
    releases.materialise(releases.DESTINATION)
    shutil.rmtree(home, ignore_errors=True)
    observer, report = Observer(), Report()
    try:
        async with _shown(observer, console, plain=plain), webhook() as hook:
            observer.tell(f"starting NATS, SeaweedFS, four services and {robots} robots", "act")
            settings = _settings(home, robots, hook.url)
            async with local_system(
                settings, lambda happening: _tell(observer, happening)
            ) as system:
                report.timings_s["start"] = round(observer.elapsed_s(), 2)
                setup_tracing("demo", system.home.traces)
                async with Fleet.connect(home) as fleet_, observing(fleet_, observer):
                    stage = Stage(
                        fleet=fleet_,
                        observer=observer,
                        report=report,
                        webhook=hook,
                        releases=releases.DESTINATION,
                        kill=lambda name: _kill(system, name),
                        picture=lambda: save_picture(View(observer), home / PICTURE),
                    )
                    await perform(stage)
    finally:
        report.timings_s["total"] = round(observer.elapsed_s(), 2)
        write_down(report, observer)
        report.write(home / REPORT)
    return report


def _settings(home: Path, robots: int, webhook_url: str) -> Settings:
    frames = (releases.DESTINATION / "frames").resolve()
    of_robots = {
        "FLEETWARD_FRAMES_DIR": str(frames),
        "FLEETWARD_FRAME_RATE_HZ": str(FRAME_RATE_HZ),
        "FLEETWARD_FRAME_HEIGHT_PX": str(releases.FRAME_HEIGHT_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(releases.FRAME_WIDTH_PX),
        "FLEETWARD_CHECK_IN_S": str(CHECK_IN_S),
    }
    return Settings(
        home=home,
        robots=fleet(robots, of_robots),
        environment={"alerting": {"FLEETWARD_WEBHOOK_URLS": webhook_url}},
    )


async def _kill(system: LocalSystem, name: str) -> None:
    """kill -9, and wait until the supervisor has it running again."""
    await system.ready(name, after_pid=system.kill(name))


def _tell(observer: Observer, happening: Happening) -> None:
    observer.tell(str(happening), "plain")


@contextlib.asynccontextmanager
async def _shown(observer: Observer, console: Console, *, plain: bool) -> AsyncIterator[None]:
    """A live view on a terminal; line by line elsewhere, in a CI log for example."""
    if console.is_terminal and not plain:
        with Live(View(observer), console=console, refresh_per_second=REFRESH_PER_S):
            yield
        return
    printing = asyncio.create_task(_print_lines(observer, console))
    try:
        yield
    finally:
        printing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await printing


async def _print_lines(observer: Observer, console: Console) -> None:
    shown = 0
    try:
        while True:
            await asyncio.sleep(1 / REFRESH_PER_S)
            shown = _print_new(observer, console, shown)
    finally:
        _print_new(observer, console, shown)


def _print_new(observer: Observer, console: Console, shown: int) -> int:
    """Print what was told since ``shown`` lines; returns how many there are now."""
    for line in observer.lines[shown:]:
        console.print(told(line))
    return len(observer.lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--home", type=Path, default=HOME, help="state and report (made anew)")
    parser.add_argument("--robots", type=int, default=5, help="how many robots (at least 3)")
    parser.add_argument("--plain", action="store_true", help="lines instead of the live view")
    return parser.parse_args()


if __name__ == "__main__":
    main()
