"""Waiting for an event for a while."""

from __future__ import annotations

import asyncio

import pytest
from nats.errors import NoRespondersError

from fleetward.bus.waiting import happens, once_served, within

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


async def test_what_takes_too_long_is_given_up_also_when_it_swallows_a_cancellation() -> None:
    swallowed = 0

    async def linger() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                swallowed += 1

    with pytest.raises(asyncio.TimeoutError):
        await within(linger(), 0.01)
    assert swallowed == 2


async def test_what_ends_in_time_gives_its_result_or_its_error() -> None:
    async def break_down() -> None:
        raise ValueError

    assert await within(asyncio.sleep(0, "here"), None) == "here"
    with pytest.raises(ValueError):
        await within(break_down(), 60)


async def test_a_server_that_does_not_serve_yet_is_asked_again() -> None:
    asked: list[float] = []

    async def ask(left_s: float) -> str:
        asked.append(left_s)
        if len(asked) < 3:
            raise NoRespondersError
        return "here"

    assert await once_served(ask, 5.0) == "here"
    assert asked == sorted(asked, reverse=True)
    assert 0 < asked[0] <= 5.0


async def test_a_server_that_never_serves_is_not_asked_for_ever() -> None:
    async def ask(left_s: float) -> str:
        assert left_s > 0
        raise NoRespondersError

    with pytest.raises(NoRespondersError):
        await once_served(ask, 0.25)
