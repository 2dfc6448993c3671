"""The robot's way to its hub: there or not there, and the bridge works either way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from edge_bridge.credentials.badge import RobotBadge
from edge_bridge.credentials.crossing import (
    LINGER_S,
    Prove,
    connected_unless_refused,
    leave,
    proved,
)
from edge_bridge.credentials.held import Credential
from edge_bridge.credentials.keyring import Keyring
from fleetward.bus.connection import BusSettings, abandon, close, connect
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.bus.waiting import cancelled, tick
from fleetward.contracts.catalog import row_of
from fleetward.contracts.event import Event

ROUND_TRIP_TIMEOUT_S = 5.0
SILENCE_S = 12.0
LATEST_ANSWER_S = 120
"""Longer than any connection may be silent."""
CLOSED_WAIT_S = 1.0
"""Between a connection that the server closed for good and the next."""
_LOOK_S = 1.0
_logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class ReconnectedError(BusError):
    """The connection is another than the one that was asked by: no answer comes any more."""


class Link:
    """One connection that is opened in the background and comes back by itself, and by other credentials.

    renewed: the directory of what took the place of ``settings.credentials``. silence_s: after so long without a sign of the hub, which is asked for one all the time, a connection is
    dead, whatever the kernel says: the robot's address changed, or its radio went out of reach.
    """

    def __init__(
        self,
        settings: BusSettings,
        renewed: Path,
        silence_s: float = SILENCE_S,
        linger_s: float = LINGER_S,
    ) -> None:
        self._settings = settings
        self._silence_s = silence_s
        self._linger_s = linger_s
        self.keyring = Keyring(settings.credentials, renewed)
        self._connection: Client | None = None
        self._leaving: Client | None = None
        self._listeners: list[tuple[str, Callable[[Msg], Awaitable[None]]]] = []
        self._lost = asyncio.Event()
        self._up = asyncio.Event()
        self._anew = asyncio.Event()
        """Set, and replaced, when this connection was replaced."""
        self._heard_s = 0.0
        self._asking: asyncio.Task[float | None] | None = None
        self.reconnects = 0
        self.on_up: list[Callable[[], None]] = []
        """Called whenever the hub is reached, the first time and again."""

    @property
    def is_up(self) -> bool:
        """Whether the hub can be reached, as far as anybody knows."""
        return self._connection is not None and self._connection.is_connected

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {"link": self.keep(), "link-watch": self.watch()}

    async def keep(self) -> None:
        """Be connected for ever, anew whenever the server closed for good."""
        while True:
            await self.open()
            while self._connection is None or not self._connection.is_closed:
                await self._lost.wait()
                self._lost.clear()
            await asyncio.sleep(CLOSED_WAIT_S)

    async def open(self) -> None:
        """Connect, however long that takes."""
        badge = RobotBadge(self.keyring)
        connection = self._connection = await self._connected_with(badge)
        badge.let_in()
        with suppress(nats.errors.Error):  # closed again already: ``keep`` sees it
            await self._subscribe_all(connection)
        self._is_new()

    async def connected(self) -> Client:
        """The connection, once the hub can be reached."""
        while self._connection is None or not self._connection.is_connected:
            self._up.clear()
            await self._up.wait()
        return self._connection

    async def listen(self, example: Event, on_message: Callable[[bytes], None]) -> None:
        """Hear the core subject that ``example`` would be published on, whatever becomes of connections."""
        connection = await self.connected()

        async def received(message: Msg) -> None:
            on_message(message.data)

        subject = row_of(type(example)).subject_of(example)
        self._listeners.append((subject, received))
        await connection.subscribe(subject, cb=received)

    async def move(self, credential: Credential, prove: Prove) -> None:
        """Be at the hub with ``credential``, and only then no longer with what was shown before.

        Nothing is cut off: whoever waits for an answer gets it. Raises CredentialRefusedError when the
        server does not let it in, TransientError; what was there before then goes on.
        """
        already = 0

        async def subscribed(connection: Client) -> None:
            nonlocal already
            already = await self._subscribe_all(connection)
            await prove(connection)

        badge = RobotBadge(self.keyring, credential)
        connecting = self._connected_with(badge)
        connection = await connected_unless_refused(connecting, badge.was_refused)
        await proved(connection, subscribed)
        self._leaving, self._connection = self._connection, connection
        badge.open_to_all()
        badge.let_in()
        self._up.set()
        with suppress(nats.errors.Error):  # closed again already: ``keep`` sees it
            await self._subscribe_all(connection, already)  # who began to listen meanwhile
        if self._leaving is not None:
            await leave(self._leaving, self._linger_s)
            self._leaving = None

    async def while_connected(self, work: Awaitable[_Result]) -> _Result:
        """What ``work`` returns or raises, which waits for an answer of the hub.

        Raises ReconnectedError as soon as the hub was reached anew: who asked before asks again at once.
        """
        working, anew = asyncio.ensure_future(work), asyncio.ensure_future(self._anew.wait())
        try:
            await asyncio.wait({working, anew}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            anew.cancel()
            if is_void := not working.done():
                await cancelled({working})
        if is_void:
            raise ReconnectedError("the hub was reached anew before it answered.")
        return working.result()

    async def round_trip_s(self, within_s: float = ROUND_TRIP_TIMEOUT_S) -> float | None:
        """Seconds to the hub and back; None while it cannot be reached, or not ``within_s``.

        An answer that comes later is waited for beside: nats-py's reader dies of one that nobody awaits.
        """
        connection = self._connection
        if connection is None or not connection.is_connected:
            return None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask(connection))
        asking = self._asking
        await asyncio.wait({asking}, timeout=within_s)
        return asking.result() if asking.done() and not asking.cancelled() else None

    async def _ask(self, connection: Client) -> float | None:
        started_s = time.monotonic()
        try:
            await connection.flush(LATEST_ANSWER_S)
        except (nats.errors.Error, asyncio.TimeoutError):
            return None
        self._heard_s = time.monotonic()
        return self._heard_s - started_s

    async def watch(self) -> None:
        """Leave each connection that fell silent, for ever; ``round_trip_s`` asks for signs."""
        messages = 0
        while True:
            await tick(_LOOK_S)
            connection = self._connection
            if connection is None or connection.is_closed:
                self._lost.set()
            elif not connection.is_connected:
                continue
            elif (heard := connection.stats["in_msgs"]) != messages:
                messages, self._heard_s = heard, time.monotonic()
            elif time.monotonic() - self._heard_s > self._silence_s:
                log(_logger, "link.silent", level=logging.WARNING, silent_s=self._silence_s)
                await abandon(connection)

    async def close(self, timeout_s: float) -> None:
        """Flush what is pending for at most ``timeout_s`` and close."""
        for connection in (self._leaving, self._connection):
            if connection is not None:
                await close(connection, drain_timeout_s=timeout_s)
        if self._asking is not None:
            self._asking.cancel()

    async def _connected_with(self, badge: RobotBadge) -> Client:
        async def came_back() -> None:
            badge.let_in()
            if self._connection is connection:
                self.reconnects += 1
                self._is_new()

        async def closed() -> None:
            if self._connection is connection:
                self._lost.set()

        connection = await connect(
            self._settings, badge=badge, on_reconnected=came_back, on_closed=closed
        )
        return connection

    async def _subscribe_all(self, connection: Client, already: int = 0) -> int:
        """Hear on ``connection`` too what is listened to, but for the first; how many that are now."""
        while already < len(self._listeners):
            subject, received = self._listeners[already]
            already += 1
            await connection.subscribe(subject, cb=received)
        return already

    def _is_new(self) -> None:
        """What was asked before is answered no more."""
        if self._asking is not None:
            self._asking.cancel()  # the connection that it asked by is gone
        self._anew.set()
        self._anew = asyncio.Event()
        self._tell()

    def _tell(self) -> None:
        self._heard_s = time.monotonic()
        self._up.set()
        for call in self.on_up:
            call()
