"""Waiting, and ending what waits, where a cancellation can get lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from math import ceil
from typing import Any, TypeVar

import nats.errors

_Result = TypeVar("_Result")

CANCEL_AGAIN_S = 1.0
"""Longer than any of our tasks takes to clean up."""
ASK_AGAIN_S = 0.1
"""After an answer that nobody serves what was asked for."""


async def cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:  # Any: nobody looks at results
    """Cancel until all have ended; what they raise is theirs.

    nats-py and ``asyncio.wait_for`` before Python 3.12 may swallow a cancellation, and the task lives
    on: whoever cancelled it once and then waits, waits for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)


async def happens(event: asyncio.Event, within_s: float | None) -> bool:
    """Whether ``event`` is set within ``within_s`` (None: ever); a cancellation ends the wait.

    ``asyncio.wait_for`` before Python 3.12 forgets a cancellation that comes in the same turn of
    the loop as the event: the task lives on, and whoever cancelled it waits for ever.
    """
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting}, timeout=within_s)
    finally:
        waiting.cancel()
    return event.is_set()


async def tick(period_s: float) -> None:
    """Sleep until the loop's clock is at a multiple of ``period_s``, between half a period and one and a half.

    What comes back from time to time, and need not be apart from the rest, so wakes the processor once for
    all of it.
    """
    now_s = asyncio.get_running_loop().time()
    await asyncio.sleep(ceil(now_s / period_s + 0.5) * period_s - now_s)


async def within(work: Awaitable[_Result], timeout_s: float | None) -> _Result:
    """What ``work`` returns or raises; raises asyncio.TimeoutError after ``timeout_s`` (None: never).

    As ``asyncio.wait_for``, which cancels once and then waits for ever where that gets lost.
    """
    working = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({working}, timeout=timeout_s)
    finally:
        if not working.done():
            await cancelled({working})
    if not done:
        raise asyncio.TimeoutError
    return working.result()


async def once_served(ask: Callable[[float], Awaitable[_Result]], timeout_s: float) -> _Result:
    """What ``ask`` answers, asked again while nobody serves the stream.

    A server that was just started takes connections before it has its streams again. ``ask`` is given
    the seconds that are left.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + timeout_s
    while True:
        try:
            return await ask(until_s - loop.time())
        except nats.errors.NoRespondersError:
            if loop.time() + ASK_AGAIN_S >= until_s:
                raise
        await asyncio.sleep(ASK_AGAIN_S)
