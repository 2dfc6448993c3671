"""Within one replica a rollout is decided by one task at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from fleetward.contracts.ids import RolloutId


class Turns:
    """A write that is refused costs a reading, and live listeners hear of it (``fleetward.bus.batch``).

    Replicas are kept apart by the compare-and-set alone.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[RolloutId, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, *rollout_ids: RolloutId) -> AsyncIterator[None]:
        """The turn of each: nobody else here decides on them meanwhile.

        Who has some must not ask for more; several are had in one order by everybody.
        """
        async with AsyncExitStack() as held:
            for rollout_id in sorted(set(rollout_ids)):
                lock = self._locks.setdefault(rollout_id, asyncio.Lock())
                await held.enter_async_context(lock)
            yield
