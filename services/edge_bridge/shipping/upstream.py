"""The robot's way up for all that is large: one portion at a time, so that whatever is small gets through.

Files leave for the store by connections of their own, which would each fill the link's queue, and a check-in or
the acknowledgements of a model that is fetched would wait behind all of that. So recordings, logs and engines
take turns, and the next portion is handed to the kernel once most of the one before is acknowledged. A portion
is as much as the link carries in ``portion_s``, which is measured. While something that goes first is under way,
what is large takes a share of the time and no more.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edge_bridge.fetching.throttle import BURST_S, Throttle
from edge_bridge.pace import Pace, PaceLimits

if TYPE_CHECKING:
    from asyncio import WriteTransport

KIB = 1024
MIB = 1024 * KIB
_LOOKS, _LEAST_LOOK_S = 16, 0.001
"""How often it is looked whether a portion left, of the time that the one before took; nothing tells it."""
_WORD = struct.Struct("i")


class UpstreamLimits(Struct, frozen=True, kw_only=True):
    """Of all that a robot uploads together."""

    bytes_per_s: float | None = None
    """None: whatever the link carries."""
    portion_s: float = 0.5
    """So long at most, and half as much again, is what is large ahead of what is small."""
    first_bytes: int = 16 * KIB
    least_bytes: int = 4 * KIB
    most_bytes: int = 4 * MIB
    share_of_time: float = 0.1
    """What uploads take while a model is fetched or telemetry is behind."""

    @property
    def pace(self) -> PaceLimits:
        """Of the portions."""
        return PaceLimits(
            portion_s=self.portion_s,
            first_bytes=self.first_bytes,
            least_bytes=self.least_bytes,
            most_bytes=self.most_bytes,
        )


class Upstream:
    """On the event loop. ``first`` are asked whether something goes first now."""

    def __init__(
        self,
        limits: UpstreamLimits,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._now_s = now_s
        self._sleep = sleep
        self._pace = Pace(limits.pace)
        self._throttle = Throttle(limits.bytes_per_s, now_s=now_s, sleep=sleep)
        self._turn = asyncio.Lock()
        self._looks_s = _LEAST_LOOK_S
        self._rests_until_s = float("-inf")
        self._fetches = 0
        self.first: list[Callable[[], bool]] = [lambda: self._fetches > 0]

    @property
    def portion_bytes(self) -> int:
        """How much the next portion may be."""
        limit, rate = self._pace.portion_bytes, self._limits.bytes_per_s
        return limit if rate is None else max(1, min(limit, int(rate * BURST_S)))

    @contextmanager
    def others_first(self) -> Iterator[None]:
        """While the block runs, what is large takes its share of the time and no more."""
        self._fetches += 1
        try:
            yield
        finally:
            self._fetches -= 1

    async def move(
        self,
        portion: memoryview,
        write: Callable[[memoryview], Awaitable[None]],
        unsent: Callable[[], int],
        moved: Callable[[], None],
    ) -> None:
        """Write a portion when it is its turn, and return when half of it is at the other end.

        ``unsent``: how many bytes are not acknowledged yet. ``moved`` is told that the turn has come, and of each
        sign of progress since.
        """
        async with self._turn:
            await self._rested()
            await self._throttle.take(len(portion))
            moved()
            began_s, before = self._now_s(), unsent()
            await write(portion)
            left = await self._sunk(len(portion) // 2, unsent, moved)
            now_s = self._now_s()
            took_s, acknowledged = now_s - began_s, before + len(portion) - left
            if acknowledged > 0:
                whole_s = took_s * len(portion) / acknowledged
                self._pace.moved(len(portion), whole_s)
                self._looks_s = min(
                    max(whole_s / _LOOKS, _LEAST_LOOK_S), self._limits.portion_s / _LOOKS
                )
            self._rests_until_s = now_s + took_s * (1 / self._limits.share_of_time - 1)

    async def _rested(self) -> None:
        """For as long as something goes first, and no longer than leaves uploads their share of the time."""
        while any(goes_first() for goes_first in self.first):
            left_s = self._rests_until_s - self._now_s()
            if left_s <= 0:
                break
            await self._sleep(min(left_s, self._limits.portion_s))

    async def _sunk(
        self, to_bytes: int, unsent: Callable[[], int], moved: Callable[[], None]
    ) -> int:
        """Until no more than ``to_bytes`` are unsent: how many those are."""
        before = left = unsent()
        while left > to_bytes:
            await self._sleep(self._looks_s)
            left = unsent()
            if left < before:
                moved()
            before = left
        return left


def unsent_bytes(transport: WriteTransport | None) -> int:
    """What was written and is not acknowledged by the other end: here, in the kernel, and on its way."""
    if transport is None or transport.is_closing():
        return 0
    connection: Any = transport.get_extra_info("socket")  # Any: asyncio's own wrapper of a socket
    try:
        (queued,) = _WORD.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0  # closed meanwhile: the next write says so
    return int(queued) + transport.get_write_buffer_size()
