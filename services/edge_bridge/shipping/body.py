"""The body of a PUT that is written a portion at a time; apart, since it brings an HTTP library with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from edge_bridge.shipping.upstream import unsent_bytes

Write = Callable[[memoryview], Awaitable[None]]
Move = Callable[[memoryview, Write, Callable[[], int]], Awaitable[None]]


class PortionedBody(Payload):
    """What ``portions`` gives, each written by ``move``."""

    def __init__(self, portions: AsyncIterator[memoryview], move: Move) -> None:
        super().__init__(portions, content_type="application/octet-stream")
        self._portions = portions
        self._move = move

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """A body that is read once has no text to show."""
        raise TypeError("the body of an upload cannot be shown")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """All of it, to a writer of aiohttp's, which has a transport."""
        stream: Any = writer  # Any: the abstract writer does not say that it has one

        async def write(portion: memoryview) -> None:
            await stream.write(portion, drain=False)  # how it drains is looked at here

        async for portion in self._portions:
            await self._move(portion, write, lambda: unsent_bytes(stream.transport))
