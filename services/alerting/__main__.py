"""Wires alerting together: settings, rules, bus, outbox, receivers, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterable

import httpx
import uvloop
from nats.aio.client import Client

from alerting.announcer import Announcer
from alerting.clock import Clock
from alerting.compilation import load_rulebook
from alerting.fleet import Fleet
from alerting.handlers import Handlers
from alerting.inventory import listen_live, read_incidents
from alerting.notify import Notifier
from alerting.outbox import Outbox
from alerting.rule_files import RuleFileError
from alerting.settings import Settings, SettingsError, settings_from
from alerting.shipping import ship_rules
from alerting.ticker import Ticker
from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.logs import log, setup_logging
from fleetward.bus.pull import Pull
from fleetward.bus.readiness import notify_ready
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal

_logger = logging.getLogger("alerting")

CANCEL_AGAIN_S = 0.5
EXIT_REFUSED = 78
"""Exit status when settings or rules are wrong (EX_CONFIG)."""


async def serve(settings: Settings) -> None:
    """Judge, announce and notify until SIGTERM."""
    ship_rules(settings.rules_dir)
    rulebook = load_rulebook(settings.rules_dir)
    name = Principal.ALERTING.value
    connection = await connect(
        BusSettings(url=settings.nats_url, credentials=settings.credentials, name=name)
    )
    outbox = Outbox(
        settings.state_dir / "outbox.sqlite",
        max_waiting=settings.notify.max_waiting,
        kept_failures=settings.notify.kept_failures,
    )
    clock = Clock()
    async with httpx.AsyncClient(trust_env=False) as client:
        notifier = Notifier(settings.webhook_urls, outbox, client, settings.notify)
        fleet = Fleet(
            rulebook, settings.fleet, await read_incidents(connection), clock.monotonic_s()
        )
        (consumer,) = consumers_of(Principal.ALERTING)
        handlers = Handlers(connection, fleet, Announcer(connection, notifier), clock)
        await _listen(connection, handlers)
        pull = Pull(
            connection,
            consumer,
            handlers.frames,
            batch=settings.batch,
            max_wait_s=settings.max_wait_s,
        )
        await pull.start()
        await _until_stopped(
            settings, Ticker(connection, handlers, settings, clock), handlers, notifier
        )
        await pull.stop()
    await close(connection)
    outbox.close()


async def _listen(connection: Client, handlers: Handlers) -> None:
    await listen_live(connection, RobotEnrolled, handlers.enrolled)
    await listen_live(connection, RobotCheckedIn, handlers.checked_in)
    await handlers.read_inventory()


async def _until_stopped(
    settings: Settings, ticker: Ticker, handlers: Handlers, notifier: Notifier
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, settings, handlers)
    async with asyncio.TaskGroup() as work:
        tasks = [work.create_task(ticker.run()), work.create_task(notifier.run())]
        notify_ready()
        log(_logger, "alerting.ready")
        await stopped.wait()
        await _cancel(tasks)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Until they ended: before Python 3.12, wait_for may swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def _reload(settings: Settings, handlers: Handlers) -> None:
    """Take the rules of the directory; refused ones leave those before in force."""
    try:
        rulebook = load_rulebook(settings.rules_dir)
    except RuleFileError as error:
        log(_logger, "rules.refused", level=logging.ERROR, error=str(error))
        return
    handlers.replace_rules(rulebook)
    log(_logger, "rules.loaded", rules=len(rulebook.rules))


def main() -> None:
    """Run alerting from FLEETWARD_* environment variables."""
    setup_logging("alerting")
    try:
        settings = settings_from(os.environ)
        setup_tracing("alerting", settings.traces_dir)
        uvloop.run(serve(settings))
    except (SettingsError, RuleFileError) as error:
        log(_logger, "alerting.refused", level=logging.ERROR, error=str(error))
        sys.exit(EXIT_REFUSED)
    except FleetwardError as error:
        log(_logger, "alerting.failed", level=logging.ERROR, error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
