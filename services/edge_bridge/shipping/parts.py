"""Sends the parts of a file to the links that the registry gave, under a byte rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from edge_bridge.errors import TransientError
from edge_bridge.fetching.throttle import BURST_S, Throttle
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
        *,
        block_bytes: int,
        stall_s: float,
    ) -> None:
        """Blocks of up to ``block_bytes``, smaller where the rate is slow: that must not look like a stall."""
        self._session = session
        self._throttle = throttle
        self._stall_s = stall_s
        self._block_bytes = block_bytes
        if throttle.bytes_per_s is not None:
            within = int(throttle.bytes_per_s * min(stall_s / 4, BURST_S))
            self._block_bytes = max(1, min(block_bytes, within))
        self.sent_bytes = 0

    async def send(self, path: Path, part: Part) -> None:
        """Send a part, however long that takes while it moves.

        Raises TransientError, FileNotFoundError, OSError.
        """
        sending = asyncio.ensure_future(self._put(path, part))
        try:
            while not sending.done():
                before = self.sent_bytes
                await asyncio.wait({sending}, timeout=self._stall_s)
                if not sending.done() and self.sent_bytes == before:
                    raise TransientError(f"no byte of {path.name} left for {self._stall_s:g} s.")
        finally:
            if not sending.done():
                await cancelled({sending})
        sending.result()

    async def _put(self, path: Path, part: Part) -> None:
        import aiohttp

        file = await asyncio.to_thread(path.open, "rb", 0)
        timeout = aiohttp.ClientTimeout(total=None)  # whether it stalls is seen by what leaves
        try:
            async with self._session().put(
                part.url,
                data=self._blocks(file, part),
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
            file.close()

    async def _blocks(self, file: IO[bytes], part: Part) -> AsyncIterator[memoryview]:
        """Read in threads: the bridge's loop waits for no disk."""
        file.seek(part.start)
        left = part.length
        while left > 0:
            read = memoryview(await asyncio.to_thread(file.read, min(_READ_BYTES, left)))
            if not read:
                return
            left -= len(read)
            for start in range(0, len(read), self._block_bytes):
                block = read[start : start + self._block_bytes]
                await self._throttle.take(len(block))
                self.sent_bytes += len(block)
                yield block
