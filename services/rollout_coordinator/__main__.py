"""Wires the coordinator together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal

from fleetward.bus.connection import close
from fleetward.bus.listen import connect_broker, listen
from fleetward.bus.logs import setup_logging
from fleetward.bus.pull import Pull
from fleetward.bus.readiness import notify_ready
from fleetward.bus.tracing import setup_tracing
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.rollouts import RolloutRequested
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import SigningKey
from rollout_coordinator.handlers import Handlers
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.settings import CoordinatorSettings, settings_from
from rollout_coordinator.watch import keep_time, utc_now, watch_rollouts


async def run(settings: CoordinatorSettings) -> None:
    """Coordinate rollouts until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    broker = await connect_broker(settings.bus)
    connection = broker.connection
    ledger = RolloutLedger(connection, SigningKey.load(settings.signing_key))
    interest = Interest()
    handlers = Handlers(connection, ledger, interest, settings, utc_now)
    await watch_rollouts(connection, ledger, interest)
    pulls: list[Pull] = []
    for consumer in consumers_of(Principal.COORDINATOR):
        if RolloutRequested in consumer.events:
            listen(broker, consumer, handlers.on_request)
        else:
            pulls.append(
                Pull(
                    connection,
                    consumer,
                    handlers.on_facts,
                    batch=settings.facts_per_write,
                    max_wait_s=settings.facts_wait_s,
                )
            )
    await broker.start()
    for pull in pulls:
        await pull.start()
    ticking = asyncio.create_task(keep_time(connection, handlers, ledger, interest, settings))
    asked_to_stop = asyncio.create_task(stopping.wait())
    notify_ready()
    await asyncio.wait({ticking, asked_to_stop}, return_when=asyncio.FIRST_COMPLETED)
    if ticking.done():
        ticking.result()  # a coordinator without a clock must not linger: raise, be restarted
    ticking.cancel()
    for pull in pulls:
        await pull.stop()
    await broker.stop()
    await close(connection)


def main() -> None:
    """Entry point of ``python -m rollout_coordinator``."""
    settings = settings_from(os.environ)
    setup_logging(settings.bus.name)
    setup_tracing(settings.bus.name, settings.traces_dir)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
