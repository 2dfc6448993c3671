"""What alerting does because time passes: leases, late frames, the inventory, outages of the hub."""

from __future__ import annotations

import asyncio
import logging

from nats.aio.client import Client

from alerting.clock import Clock
from alerting.handlers import Handlers
from alerting.settings import Settings
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class Ticker:
    """Runs every ``tick_s``; while the hub is away it only measures for how long."""

    def __init__(
        self, connection: Client, handlers: Handlers, settings: Settings, clock: Clock
    ) -> None:
        self._connection = connection
        self._handlers = handlers
        self._settings = settings
        self._clock = clock
        self._connected_s = clock.monotonic_s()
        self._inventory_s = clock.monotonic_s()
        self._reconnects = connection.stats["reconnects"]

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._settings.tick_s)
            await self.tick()

    async def tick(self) -> None:
        """One look at everything that time changes."""
        if not self._connection.is_connected:
            return
        self._notice_outage()
        await self._refresh_inventory()
        await self._handlers.call_silent(self._settings.hub_check_s)
        await self._handlers.settle()

    def _notice_outage(self) -> None:
        now_s = self._clock.monotonic_s()
        reconnects = self._connection.stats["reconnects"]
        if reconnects != self._reconnects:
            self._handlers.excuse(now_s - self._connected_s)
            self._inventory_s = 0.0
        self._reconnects = reconnects
        self._connected_s = now_s

    async def _refresh_inventory(self) -> None:
        """Live enrolments may be missed while reconnecting; the stored ones cannot."""
        if self._clock.monotonic_s() - self._inventory_s < self._settings.inventory_refresh_s:
            return
        try:
            await self._handlers.read_inventory()
        except BusError as error:
            log(_logger, "inventory.postponed", level=logging.WARNING, error=str(error))
            return
        self._inventory_s = self._clock.monotonic_s()
