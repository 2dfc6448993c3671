"""Waiting for an event for a while."""

from __future__ import annotations

import asyncio

import pytest

from fleetward.bus.waiting import happens

LONG_S = 60.0


async def test_event_that_comes_is_told() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await happens(event, LONG_S)


async def test_event_that_does_not_come_is_not_waited_for_longer() -> None:
    assert not await happens(asyncio.Event(), 0.01)


async def test_event_that_came_before_is_told() -> None:
    event = asyncio.Event()
    event.set()
    assert await happens(event, 0.0)


@pytest.mark.parametrize("turns", range(5))
async def test_cancellation_beside_the_event_is_not_lost(turns: int) -> None:
    event = asyncio.Event()
    waiting = asyncio.ensure_future(happens(event, LONG_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert await waiting, "it had ended before it was cancelled"
