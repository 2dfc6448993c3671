"""Keeps the coordinator's index of open rollouts fresh, and lets time pass for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import datetime, timezone

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import FINAL_STATES, Rollout
from rollout_coordinator.errors import CoordinatorError
from rollout_coordinator.gatekeeper import Gatekeeper
from rollout_coordinator.handlers import Handlers
from rollout_coordinator.interest import Interest
from rollout_coordinator.joiners import Joiners
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.settings import Settings
from rollout_coordinator.step import Tick

_logger = logging.getLogger(__name__)

LOOKS_FOR_A_HEARD_ROLLOUT = 10
LOOK_PAUSE_S = 0.02


async def watch_rollouts(connection: Client, ledger: RolloutLedger, interest: Interest) -> None:
    """Learn of every open rollout, and of those that other replicas start or end.

    A live message may be of a write that the server then refused, so an end is believed only
    when the stream holds it: facts about a rollout that is not watched would be dropped. The row
    of a large rollout does not name its robots, so it is read when nobody here knows it yet.
    """

    async def moved(message: Msg) -> None:
        row = decode(message.data, Rollout)
        if row.state in FINAL_STATES:
            stored = await ledger.load(row.rollout_id)
        elif row.sharding is None:
            interest.note(row)
            return
        elif interest.knows(
            row.rollout_id, sum(row.sharding.wave_sizes)
        ) and not interest.is_waiting(row.rollout_id):
            return
        else:
            stored = await _soon(ledger, row.rollout_id)
        if stored is not None:
            interest.note(stored.event)

    await connection.subscribe(row_of(Rollout).pattern, cb=moved)
    await connection.flush()
    await _refresh(ledger, interest)


async def _soon(ledger: RolloutLedger, rollout_id: RolloutId) -> KeptRollout | None:
    """A rollout that was heard of: it may take a moment until the stream holds it, or never be."""
    for _ in range(LOOKS_FOR_A_HEARD_ROLLOUT):
        stored = await ledger.load(rollout_id)
        if stored is not None:
            return stored
        await asyncio.sleep(LOOK_PAUSE_S)
    return None


async def keep_time(
    connection: Client,
    handlers: Handlers,
    ledger: RolloutLedger,
    interest: Interest,
    settings: Settings,
    gatekeeper: Gatekeeper,
    joiners: Joiners,
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
            await _without_fail(handlers.on_tick(rollout_id, Tick(heard.since)))
        if ticks % settings.ticks_per_matching == 0:
            for rollout_id in interest.continuous_rollouts():
                await _without_fail(joiners.look(rollout_id))
        gatekeeper.look(interest.questions())


async def _without_fail(work: Coroutine[None, None, None]) -> None:
    """What fails now is done at the next tick."""
    try:
        await work
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
