"""Waiting for an event for a while, without losing a cancellation."""

from __future__ import annotations

import asyncio


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
