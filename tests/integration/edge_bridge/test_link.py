"""The robot's connection on a real server that stands still: for a moment, or for longer than it may."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psutil
import pytest

from edge_bridge.link import Link, ReconnectedError
from fleetward.bus.waiting import cancelled
from testkit.servers import NatsSystem

ROBOT = "r1"
SOON_S = 0.2
SILENCE_S = 1.0
WAIT_S = 30.0
MORE_THAN_A_SOCKET_TAKES = bytes(900_000)
MESSAGES = 16


@contextmanager
def standing_still(system: NatsSystem) -> Iterator[None]:
    """Connections are open and nobody reads from them."""
    os.kill(system.pid, signal.SIGSTOP)
    while psutil.Process(system.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)
    try:
        yield
    finally:
        os.kill(system.pid, signal.SIGCONT)


def own_ends(system: NatsSystem) -> set[int]:
    """The ports of this process's connections to the server."""
    connections = psutil.Process().net_connections("tcp")
    return {
        each.laddr.port for each in connections if getattr(each.raddr, "port", 0) == system.port
    }


@asynccontextmanager
async def linked(system: NatsSystem, silence_s: float) -> AsyncIterator[Link]:
    """A robot's link with its watch."""
    link = Link(system.settings(ROBOT), system.directory / "renewed", silence_s)
    watching = asyncio.ensure_future(link.watch())
    await link.open()
    try:
        yield link
    finally:
        await cancelled({watching})
        await link.close(1.0)


async def test_an_answer_that_comes_late_costs_no_connection(nats_system: NatsSystem) -> None:
    async with linked(nats_system, silence_s=60.0) as link:
        assert await link.round_trip_s() is not None
        with standing_still(nats_system):
            assert await link.round_trip_s(SOON_S) is None
            assert await link.round_trip_s(SOON_S) is None
        late_s = await link.round_trip_s(WAIT_S)
        assert late_s is not None
        assert late_s > SOON_S, "it is the answer to the first question"
        assert await link.round_trip_s() is not None
        connection = await link.connected()
        reader = connection._reading_task
        assert reader is not None
        assert not reader.done()
        assert link.reconnects == 0


async def test_a_connection_that_falls_silent_is_left_with_all_that_waits_to_be_sent(
    nats_system: NatsSystem,
) -> None:
    async with linked(nats_system, SILENCE_S) as link:
        connection = await link.connected()
        with standing_still(nats_system):
            for _ in range(MESSAGES):
                await connection.publish(f"_INBOX_{ROBOT}.x", MORE_THAN_A_SOCKET_TAKES)
            answer = asyncio.ensure_future(link.while_connected(asyncio.Event().wait()))
            dead = own_ends(nats_system)
            async with asyncio.timeout(WAIT_S):
                while own_ends(nats_system) & dead:
                    await link.round_trip_s(SOON_S)
                    await asyncio.sleep(SOON_S)
        with pytest.raises(ReconnectedError):
            await asyncio.wait_for(answer, WAIT_S)
        assert link.reconnects == 1
        assert await link.round_trip_s(WAIT_S) is not None
