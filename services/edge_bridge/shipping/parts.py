"""Sends the parts of a file to the links that the registry gave, under a byte rate and in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from edge_bridge.errors import TransientError
from edge_bridge.fetching.throttle import BURST_S, Throttle
from edge_bridge.shipping.upstream import Upstream
from fleetward.bus.waiting import cancelled

if TYPE_CHECKING:
    import aiohttp

_OK = 200
_READ_BYTES = 4 * 1024 * 1024
"""A thread's turn costs as much as sending a block."""


class Part(Struct, frozen=True, kw_only=True):
    """Which bytes of a file go where."""

    number: int
    url: str
    start: int
    length: int


def parts_of(urls: dict[int, str], part_bytes: int, size_bytes: int) -> list[Part]:
    """The parts that are still to be sent, by the links that were given."""
    return [
        Part(
            number=number,
            url=url,
            start=(number - 1) * part_bytes,
            length=min(part_bytes, size_bytes - (number - 1) * part_bytes),
        )
        for number, url in sorted(urls.items())
    ]


class PartSender:
    """One part after the other. ``sent_bytes`` counts every byte of every attempt."""

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        throttle: Throttle,
        upstream: Upstream,
        *,
        stall_s: float,
    ) -> None:
        """``throttle``: of what this one sends, beside what ``upstream`` lets all of them send together."""
        self._session = session
        self._throttle = throttle
        self._upstream = upstream
        self._stall_s = stall_s
        self.sent_bytes = 0
        self._signs = 0
        """That something moves."""
        self._waits = False
        """For its turn, which is no stall."""

    async def send(self, path: Path, part: Part) -> None:
        """Send a part, however long that takes while it moves.

        Raises TransientError, FileNotFoundError, OSError.
        """
        sending = asyncio.ensure_future(self._put(path, part))
        try:
            while not sending.done():
                before = self._signs
                await asyncio.wait({sending}, timeout=self._stall_s)
                if not (sending.done() or self._waits) and self._signs == before:
                    raise TransientError(f"no byte of {path.name} left for {self._stall_s:g} s.")
        finally:
            if not sending.done():
                await cancelled({sending})
        sending.result()

    async def _put(self, path: Path, part: Part) -> None:
        import aiohttp

        from edge_bridge.shipping.body import PortionedBody

        file = await asyncio.to_thread(path.open, "rb", 0)
        timeout = aiohttp.ClientTimeout(total=None)  # whether it stalls is seen by what leaves
        try:
            async with self._session().put(
                part.url,
                data=PortionedBody(self._portions(file, part), self._move),
                headers={"Content-Length": str(part.length)},
                timeout=timeout,
            ) as answer:
                if answer.status != _OK:
                    raise TransientError(
                        f"the store refused a part of {path.name} with status {answer.status}."
                    )
        except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
            raise TransientError(f"a part of {path.name} was not sent: {problem!r}.") from problem
        finally:
            self._waits = False
            file.close()

    async def _portions(self, file: IO[bytes], part: Part) -> AsyncIterator[memoryview]:
        """Read in threads: the bridge's loop waits for no disk."""
        file.seek(part.start)
        left = part.length
        while left > 0:
            read = memoryview(await asyncio.to_thread(file.read, min(_READ_BYTES, left)))
            if not read:
                return
            left -= len(read)
            while read:
                portion = read[: self._portion_bytes()]
                read = read[len(portion) :]
                yield portion

    async def _move(
        self,
        portion: memoryview,
        write: Callable[[memoryview], Awaitable[None]],
        unsent: Callable[[], int],
    ) -> None:
        self._signs += 1
        await self._throttle.take(len(portion))
        self.sent_bytes += len(portion)
        self._waits = True
        await self._upstream.move(portion, write, unsent, self._moved)

    def _moved(self) -> None:
        self._signs += 1
        self._waits = False

    def _portion_bytes(self) -> int:
        """Smaller where this one's rate is slow: that must not look like a stall."""
        rate = self._throttle.bytes_per_s
        if rate is None:
            return self._upstream.portion_bytes
        return max(
            1, min(self._upstream.portion_bytes, int(rate * min(self._stall_s / 4, BURST_S)))
        )
