"""A deadline that counts only the time in which this process ran.

A bridge that was suspended (a debugger, a paused machine, a starved processor) finds every timer
overdue when it runs again, before it could read the answers that came meanwhile. That must not cost
a healthy worker its life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SLICES = 10


class FrameDeadline:
    """Calls ``expired`` once ``after_s`` have passed since ``arm``, measured in slices.

    A slice that ends more than a slice late tells of a suspension: the count begins again.
    """

    def __init__(self, after_s: float, expired: Callable[[], None]) -> None:
        self._slice_s = after_s / SLICES
        self._expired = expired
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Begin to count, from zero."""
        self.disarm()
        self._left = SLICES
        self._next_slice()

    def disarm(self) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_slice(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._slice_s, self._slice_ended, loop.time())

    def _slice_ended(self, began_s: float) -> None:
        took_s = asyncio.get_running_loop().time() - began_s
        self._left = SLICES if took_s > 2 * self._slice_s else self._left - 1
        if self._left > 0:
            self._next_slice()
        else:
            self._timer = None
            self._expired()
