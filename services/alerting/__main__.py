"""Wires alerting together: settings, rules, bus, outbox, receivers, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import httpx
import uvloop
from nats.aio.client import Client

from alerting.announcer import Announcer
from alerting.clock import Clock
from alerting.fleet import Fleet
from alerting.handlers import Handlers
from alerting.inventory import listen_live, read_incidents
from alerting.notify import Notifier
from alerting.outbox import Outbox
from alerting.rule_sets import RuleSets
from alerting.settings import Settings, settings_from
from alerting.shipping import ship_rules
from alerting.ticker import Ticker
from fleetward.bus.connection import close, connect
from fleetward.bus.logs import log
from fleetward.bus.process import exit_status, stop_signal, unless_stopped
from fleetward.bus.pull import Pull
from fleetward.bus.readiness import notify_ready
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.rules.compilation import load_rulebook
from fleetward.rules.rule_files import RuleFileError
from fleetward.rules.rulebook import Rulebook
from fleetward.trust.signing import SigningKey

_logger = logging.getLogger(__name__)

NAME = Principal.ALERTING.value

CANCEL_AGAIN_S = 0.5


async def serve(settings: Settings) -> None:
    """Judge, announce and notify until SIGTERM."""
    stopping = stop_signal()
    ship_rules(settings.rules_dir)
    rulebook = load_rulebook(settings.rules_dir)
    connection = await unless_stopped(stopping, connect(settings.bus))
    if connection is None:
        return
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
            max_wait_s=lambda: settings.max_wait_s,
        )
        await pull.start()
        loop = asyncio.get_running_loop()
        sending = _rule_sets(settings, rulebook, connection, clock)
        uses = [handlers.replace_rules, *(each.use for each in sending)]
        loop.add_signal_handler(signal.SIGHUP, _reload, settings, uses)
        ticker = Ticker(connection, handlers, settings, clock)
        parts = (each.run() for each in sending)
        await _work_until(stopping, ticker.run(), notifier.run(), *parts)
        await pull.stop()
    await close(connection)
    outbox.close()


async def _listen(connection: Client, handlers: Handlers) -> None:
    await listen_live(connection, RobotEnrolled, handlers.enrolled)
    await listen_live(connection, RobotCheckedIn, handlers.checked_in)
    await handlers.read_inventory()


async def _work_until(stopping: asyncio.Event, *parts: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as work:
        tasks = [work.create_task(part) for part in parts]
        notify_ready()
        log(_logger, "alerting.ready")
        await stopping.wait()
        await _cancel(tasks)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Until they ended: before Python 3.12, wait_for may swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def _rule_sets(
    settings: Settings, rulebook: Rulebook, connection: Client, clock: Clock
) -> list[RuleSets]:
    """What sends robots their rules; nothing where there is no key to sign them with."""
    if settings.signing_key is None:
        log(_logger, "rules.not_sent", reason="FLEETWARD_SIGNING_KEY names no key to sign with.")
        return []
    key = SigningKey.load(settings.signing_key)
    return [RuleSets(connection, key, rulebook, settings.fleet.lookback_s, clock)]


def _reload(settings: Settings, uses: Iterable[Callable[[Rulebook], None]]) -> None:
    """Take the rules of the directory; refused ones leave those before in force."""
    try:
        rulebook = load_rulebook(settings.rules_dir)
    except RuleFileError as error:
        log(_logger, "rules.refused", level=logging.ERROR, error=str(error))
        return
    for use in uses:
        use(rulebook)
    log(_logger, "rules.loaded", rules=len(rulebook.rules))


def main() -> int:
    """The process's exit status."""
    return exit_status(NAME, _run)


def _run() -> None:
    settings = settings_from(os.environ)
    setup_tracing(NAME, settings.traces_dir)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
