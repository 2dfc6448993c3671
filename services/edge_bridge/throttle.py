"""Holds a fetch to so many bytes a second, whatever the link could carry."""

from __future__ import annotations

import asyncio
import time

_BURST_S = 0.25
"""So much of a second's bytes may come at once."""


class Throttle:
    """A token bucket. ``bytes_per_s`` None leaves the link to the fetch."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self.bytes_per_s = bytes_per_s
        self._paid_until_s = 0.0

    async def take(self, length: int) -> None:
        """Wait until ``length`` more bytes are within the rate."""
        if self.bytes_per_s is None:
            return
        now_s = time.monotonic()
        self._paid_until_s = max(self._paid_until_s, now_s) + length / self.bytes_per_s
        await asyncio.sleep(max(0.0, self._paid_until_s - now_s - _BURST_S))
