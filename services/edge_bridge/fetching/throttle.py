"""Holds what moves to so many bytes a second, whatever the link could carry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

BURST_S = 0.25
"""So much of a second's bytes may come at once."""


class Throttle:
    """A token bucket. ``bytes_per_s`` None leaves the whole link to it."""

    def __init__(
        self,
        bytes_per_s: float | None,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.bytes_per_s = bytes_per_s
        self._now_s = now_s
        self._sleep = sleep
        self._paid_until_s = 0.0

    async def take(self, length: int) -> None:
        """Wait until ``length`` more bytes are within the rate."""
        if self.bytes_per_s is None:
            return
        now_s = self._now_s()
        self._paid_until_s = max(self._paid_until_s, now_s) + length / self.bytes_per_s
        await self._sleep(max(0.0, self._paid_until_s - now_s - BURST_S))
