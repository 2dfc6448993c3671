"""What all pipelines of a robot need of the one store they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_bridge.converging.converge import Memory, pinned
from fleetward.contracts.ids import Digest


class Needs:
    """Each pipeline's memory, as it is when somebody asks. ``fetching``: one model at a time."""

    def __init__(self) -> None:
        self.fetching = asyncio.Lock()
        self._memories: list[Callable[[], Memory]] = []

    def add(self, memory: Callable[[], Memory]) -> None:
        """One more pipeline."""
        self._memories.append(memory)

    def pinned(self) -> frozenset[Digest]:
        """What must stay on disk for any of them."""
        return frozenset().union(*(pinned(memory()) for memory in self._memories))
