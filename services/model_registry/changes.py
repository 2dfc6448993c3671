"""Which models' records changed since somebody last looked."""

from __future__ import annotations

import asyncio

from fleetward.contracts.ids import ModelName


class Changes:
    """Names, each once, in the order in which they were first noted; at most one per model."""

    def __init__(self) -> None:
        self._names: dict[ModelName, None] = {}
        self._noted = asyncio.Event()

    def note(self, name: ModelName) -> None:
        """This model's record changed."""
        self._names[name] = None
        self._noted.set()

    async def next(self) -> ModelName:
        """Wait for a change and take it."""
        while not self._names:
            self._noted.clear()
            await self._noted.wait()
        name = next(iter(self._names))
        del self._names[name]
        return name
