"""A connection for somebody who waits: quickly there, or an error that says what to do."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError

from fleetward.bus import connection as bus
from fleetward.bus.waiting import within
from fleetward.client.access import Access
from fleetward.client.errors import NoSystemError


async def connected(access: Access, timeout_s: float) -> Client:
    """A connection, or NoSystemError: a person waits for an answer, not for a server."""
    if not access.bus.credentials.is_file():
        raise NoSystemError(
            f"There are no credentials at {access.bus.credentials}. Start the system with "
            "`fleetward up`, or name its home directory."
        )
    try:
        return await within(bus.connect(access.bus, on_closed=_closed), timeout_s)
    except (asyncio.TimeoutError, NatsError, OSError, ValueError) as error:
        raise NoSystemError(
            f"No system answers at {access.bus.url} within {timeout_s:g} s. "
            "Is it running? Start it with `fleetward up`."
        ) from error


async def _closed() -> None:
    """The server refused us for good: what is asked next says so, and the program decides."""
