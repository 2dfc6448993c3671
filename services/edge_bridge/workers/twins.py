"""Who looks for engines that robots of the same hardware built, on behalf of workers."""

from __future__ import annotations

from typing import Protocol

from edge_bridge.workers.protocol import Offered


class Twins(Protocol):
    """Who looks for engines that robots of the same hardware built, and sends them those built here."""

    async def find(self, engine: str) -> Offered:
        """The file that holds it, once it is here; never raises, and takes a bounded time."""
        ...

    def loaded(self) -> None:
        """A worker loaded a model: there may be an engine to send."""


class NoTwins:
    """A robot that shares engines with nobody."""

    async def find(self, engine: str) -> Offered:
        return Offered()

    def loaded(self) -> None:
        return
