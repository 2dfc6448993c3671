"""A step that a newer target ends at once, and one that nothing ends halfway."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def unless(interrupted: asyncio.Event, step: Coroutine[Any, Any, None]) -> bool:
    """Run ``step``, or cancel it as soon as ``interrupted`` is set; return whether it came to its end."""
    working = asyncio.ensure_future(step)
    newer = asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait({working, newer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        newer.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    if working.cancelled():
        return False
    working.result()
    return True


async def to_its_end(step: Coroutine[Any, Any, object]) -> None:
    """Run ``step`` to its end, and be cancelled only then: its thread cannot be stopped halfway."""
    working = asyncio.ensure_future(step)
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as word:
            cancelled = word
    if cancelled is not None:
        working.exception()  # whoever cancelled asks for nothing more; unread, it would be logged
        raise cancelled
    working.result()
