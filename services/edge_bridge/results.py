"""Where results go when the robot's own program wants them: a bounded queue that never blocks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from edge_bridge.pump import InferenceDone


class ResultQueue:
    """Give it as ``on_result`` and iterate over it; a slow reader loses the oldest results."""

    def __init__(self, limit: int = 64) -> None:
        self.overrun = 0
        """Results that were pushed out unread."""
        self._results: deque[InferenceDone] = deque(maxlen=limit)
        self._arrived = asyncio.Event()

    def __call__(self, done: InferenceDone) -> None:
        if len(self._results) == self._results.maxlen:
            self.overrun += 1
        self._results.append(done)
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[InferenceDone]:
        while True:
            while self._results:
                yield self._results.popleft()
            self._arrived.clear()
            await self._arrived.wait()
