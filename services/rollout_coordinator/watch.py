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
from fleetward.contracts.rollouts import FINAL_STATES, Rollout
from rollout_coordinator.errors import CoordinatorError
from rollout_coordinator.handlers import Handlers
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.settings import Settings
from rollout_coordinator.step import Tick

_logger = logging.getLogger(__name__)


async def watch_rollouts(connection: Client, ledger: RolloutLedger, interest: Interest) -> None:
    """Learn of every open rollout, and of those that other replicas start or end.

    A live message may be of a write that the server then refused, so an end is believed only
    when the stream holds it: facts about a rollout that is not watched would be dropped.
    """

    async def moved(message: Msg) -> None:
        rollout = decode(message.data, Rollout)
        if rollout.state not in FINAL_STATES:
            interest.note(rollout)
        elif (stored := await ledger.load(rollout.rollout_id)) is not None:
            interest.note(stored.event)

    await connection.subscribe(row_of(Rollout).pattern, cb=moved)
    await connection.flush()
    await _refresh(ledger, interest)


async def keep_time(
    connection: Client,
    handlers: Handlers,
    ledger: RolloutLedger,
    interest: Interest,
    settings: Settings,
) -> None:
    """Tick every open rollout each ``tick_s``; an outage of the bus only delays it.

    After an outage nobody's silence counts until the robots had their time to be heard again.
    """
    heard = _Hearing(connection)
    ticks = 0
    while True:
        await asyncio.sleep(settings.tick_s)
        ticks += 1
        try:
            if heard.interrupted() or ticks % settings.ticks_per_refresh == 0:
                await _refresh(ledger, interest)
        except BusError as problem:
            log(_logger, "refresh.failed", level=logging.WARNING, error=repr(problem))
        for rollout_id in interest.open_rollouts():
            try:
                await handlers.on_tick(rollout_id, Tick(heard.since))
            except (BusError, CoordinatorError) as problem:
                log(_logger, "tick.failed", level=logging.WARNING, error=repr(problem))


class _Hearing:
    """Since when this process has heard what robots say, without a break."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._reconnects = connection.stats["reconnects"]
        self.since = utc_now()

    def interrupted(self) -> bool:
        """Whether the connection is, or was since the last call, away."""
        away = not self._connection.is_connected
        if away or self._connection.stats["reconnects"] != self._reconnects:
            self._reconnects = self._connection.stats["reconnects"]
            self.since = utc_now()
            return not away
        return False


def utc_now() -> datetime:
    """The clock of this process."""
    return datetime.now(timezone.utc)


async def _refresh(ledger: RolloutLedger, interest: Interest) -> None:
    interest.begin_refresh()
    interest.replace((await ledger.opened()).rollouts)
