"""Waiting for an event for a while."""

from __future__ import annotations

import asyncio
import selectors

import pytest
from nats.errors import NoRespondersError

from fleetward.bus.waiting import happens, once_served, tick, within

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


class PromptSelector(selectors.DefaultSelector):
    """Whoever sleeps is woken at once, at the instant that it slept for."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        return super().select(0)


class PromptLoop(asyncio.SelectorEventLoop):
    """Its clock says what its selector let pass."""

    def __init__(self, now_s: float) -> None:
        self._prompt = PromptSelector()
        self._prompt.now_s = now_s
        super().__init__(self._prompt)

    def time(self) -> float:
        return self._prompt.now_s


@pytest.mark.parametrize(
    ("now_s", "due_s"), [(10.0, 12.0), (10.9, 12.0), (11.1, 14.0), (12.0, 14.0), (13.9, 16.0)]
)
def test_what_ticks_alike_is_due_at_one_instant_not_too_soon(now_s: float, due_s: float) -> None:
    loop = PromptLoop(now_s)
    try:
        loop.run_until_complete(tick(2.0))
        assert loop.time() == pytest.approx(due_s, abs=2e-3)
    finally:
        loop.close()


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
