"""From one connection to another without a gap: the second is proved before the first is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import nats.errors
from nats.aio.client import Client

from edge_bridge.errors import CredentialRefusedError, TransientError
from fleetward.bus.connection import close
from fleetward.bus.errors import BusError
from fleetward.bus.waiting import cancelled

CONNECT_TIMEOUT_S = 30.0
LINGER_S = 1.0
"""How long a connection stays at least when another took its place: for who was about to use it."""
LINGER_LIMIT_S = 65.0
"""And how long at most while answers are outstanding; no question of a robot waits longer."""
LINGER_LOOK_S = 0.05

Prove = Callable[[Client], Awaitable[object]]
"""Has a question answered over a connection; raises BusError."""


async def connected_unless_refused(
    connecting: Coroutine[Any, Any, Client], was_refused: asyncio.Event
) -> Client:
    """Raises CredentialRefusedError as soon as the server refuses, TransientError after CONNECT_TIMEOUT_S."""
    working = asyncio.ensure_future(connecting)
    refused = asyncio.ensure_future(was_refused.wait())
    try:
        await asyncio.wait(
            {working, refused}, timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        refused.cancel()
        if not working.done():
            await cancelled({working})
    if was_refused.is_set():
        raise CredentialRefusedError("the hub does not let the robot in with what it issued.")
    if working.cancelled():
        raise TransientError(f"the hub was not reached within {CONNECT_TIMEOUT_S:g} s.")
    return working.result()


async def proved(connection: Client, prove: Prove) -> Client:
    """The same, when it is answered; else it is closed. Raises TransientError."""
    try:
        await prove(connection)
    except (BusError, nats.errors.Error, asyncio.TimeoutError) as problem:
        await close(connection)
        raise TransientError(f"a new connection is not answered: {problem!r}") from problem
    except BaseException:
        await close(connection)
        raise
    return connection


async def leave(before: Client, linger_s: float) -> None:
    """Close it when nobody waits for an answer on it any more."""
    began_s = time.monotonic()
    await asyncio.sleep(linger_s)
    while before.is_connected and time.monotonic() - began_s < LINGER_LIMIT_S:
        if not before._resp_map:  # noqa: SLF001 (the questions that are not answered yet)
            break
        await asyncio.sleep(LINGER_LOOK_S)
    await close(before)
