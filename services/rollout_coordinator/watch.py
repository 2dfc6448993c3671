"""Keeps the coordinator's index of open rollouts fresh, and lets time pass for them."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.errors import CoordinatorError
from rollout_coordinator.handlers import Handlers
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.settings import CoordinatorSettings

_logger = logging.getLogger(__name__)


async def watch_rollouts(connection: Client, ledger: RolloutLedger, interest: Interest) -> None:
    """Learn of every open rollout, and of those that other replicas start."""

    async def moved(message: Msg) -> None:
        interest.note(decode(message.data, Rollout))

    await connection.subscribe(row_of(Rollout).pattern, cb=moved)
    interest.replace(await ledger.open_rollouts())


async def keep_time(
    handlers: Handlers, ledger: RolloutLedger, interest: Interest, settings: CoordinatorSettings
) -> None:
    """Tick every open rollout each ``tick_s``; an outage of the bus only delays it."""
    ticks = 0
    while True:
        await asyncio.sleep(settings.tick_s)
        ticks += 1
        try:
            if ticks % settings.ticks_per_refresh == 0:
                interest.replace(await ledger.open_rollouts())
            await handlers.on_tick(datetime.now(timezone.utc))
        except (BusError, CoordinatorError) as problem:
            log(_logger, "tick.failed", level=logging.WARNING, error=repr(problem))
