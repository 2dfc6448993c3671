"""The robot's way to its hub: there or not there, and the bridge works either way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.contracts.catalog import row_of
from fleetward.contracts.event import Event

ROUND_TRIP_TIMEOUT_S = 5


class Link:
    """One connection that is opened in the background and comes back by itself."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._connection: Client | None = None
        self._opened = asyncio.Event()
        self._up = asyncio.Event()
        self.reconnects = 0
        self.on_up: list[Callable[[], None]] = []
        """Called whenever the hub is reached, the first time and again."""

    @property
    def is_up(self) -> bool:
        """Whether the hub can be reached, as far as anybody knows."""
        return self._connection is not None and self._connection.is_connected

    async def open(self) -> None:
        """Connect, however long that takes."""
        self._connection = await connect(self._settings, on_reconnected=self._came_back)
        self._opened.set()
        self._tell()

    async def connected(self) -> Client:
        """The connection, once the hub can be reached."""
        await self._opened.wait()
        assert self._connection is not None
        while not self._connection.is_connected:
            self._up.clear()
            await self._up.wait()
        return self._connection

    async def listen(self, example: Event, on_message: Callable[[bytes], None]) -> None:
        """Hear the core subject that ``example`` would be published on, across reconnects."""
        connection = await self.connected()

        async def received(message: Msg) -> None:
            on_message(message.data)

        await connection.subscribe(row_of(type(example)).subject_of(example), cb=received)

    async def round_trip_s(self) -> float | None:
        """Seconds to the hub and back, None while it cannot be reached."""
        if self._connection is None or not self._connection.is_connected:
            return None
        started_s = time.monotonic()
        try:
            await self._connection.flush(ROUND_TRIP_TIMEOUT_S)
        except (nats.errors.Error, asyncio.TimeoutError):
            return None
        return time.monotonic() - started_s

    async def close(self, timeout_s: float) -> None:
        """Flush what is pending for at most ``timeout_s`` and close."""
        if self._connection is not None:
            await close(self._connection, drain_timeout_s=timeout_s)

    async def _came_back(self) -> None:
        self.reconnects += 1
        self._tell()

    def _tell(self) -> None:
        self._up.set()
        for call in self.on_up:
            call()
