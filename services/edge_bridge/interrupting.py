"""A step that a newer target ends at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def unless(interrupted: asyncio.Event, step: Coroutine[Any, Any, None]) -> None:
    """Run ``step`` to its end, or cancel it as soon as ``interrupted`` is set."""
    working = asyncio.ensure_future(step)
    newer = asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait({working, newer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        newer.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    if not working.cancelled():
        working.result()
