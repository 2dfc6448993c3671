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

    A slice that ends more than a slice late tells of a suspension: the count begins again. Frames come
    and go within a slice, so they share its timer: to arm and to disarm costs an assignment.
    """

    def __init__(self, after_s: float, expired: Callable[[], None]) -> None:
        self._slice_s = after_s / SLICES
        self._expired = expired
        self._left = 0
        """Slices until it passes; 0: nothing is waited for."""
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Begin to count, from zero."""
        if self._timer is None:
            self._left = SLICES
            self._next_slice()
        else:
            self._left = SLICES + 1  # the slice under way began earlier, and counts for nothing

    def disarm(self) -> None:
        """Stop counting; the slice under way ends by itself."""
        self._left = 0

    def _next_slice(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._slice_s, self._slice_ended, loop.time())

    def _slice_ended(self, began_s: float) -> None:
        self._timer = None
        if not self._left:
            return
        took_s = asyncio.get_running_loop().time() - began_s
        self._left = SLICES if took_s > 2 * self._slice_s else self._left - 1
        if self._left:
            self._next_slice()
        else:
            self._expired()
