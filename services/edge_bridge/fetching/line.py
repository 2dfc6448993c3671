"""Hands a leg's bytes to the rebuild as they arrive: the next ones come while these are written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import TracebackType

from edge_bridge.fetching.rebuild import Rebuild
from edge_bridge.fetching.transfer import Transfer
from fleetward.delivery.fetch_plan import FromHeld, Leg, Step, need_of

_COPY_BYTES = 4 * 1024 * 1024
_WAITING = 1
"""Payloads that wait while another one is written: with what is arriving, less than a range."""


class Line:
    """The way from the network to the partial. Enter it; ``settle`` once all legs came."""

    def __init__(self, rebuild: Rebuild) -> None:
        self._rebuild = rebuild
        self._queue: asyncio.Queue[tuple[Step, bytes]] = asyncio.Queue(maxsize=_WAITING)
        self._problem: Exception | None = None
        self._worker: asyncio.Task[None]

    async def __aenter__(self) -> Line:
        self._worker = asyncio.get_running_loop().create_task(self._work())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """What arrived is written, also when the next range did not; a cancelled fetch waits too."""
        try:
            await self._queue.join()
        finally:
            self._worker.cancel()
            await asyncio.wait({self._worker})

    async def run(self, leg: Leg, transfer: Transfer) -> None:
        """Fetch a leg and hand its steps on. Raises what the transfer or the rebuild raises."""
        cutter = _Cutter(leg, self)
        await cutter.begin()
        if leg.need is not None:
            await transfer.get(leg.need, cutter.take)

    async def put(self, step: Step, payload: bytes) -> None:
        """Hand a step on; raises what an earlier one came to."""
        for part in _parts(step):
            if self._problem is not None:
                raise self._problem
            await self._queue.put((part, payload))

    async def settle(self) -> None:
        """Until every step handed on is done; raises what one came to."""
        await self._queue.join()
        if self._problem is not None:
            raise self._problem

    async def _work(self) -> None:
        """After a problem the rest is taken and dropped, so that nobody waits for room."""
        while True:
            step, payload = await self._queue.get()
            try:
                if self._problem is None:
                    await asyncio.to_thread(self._rebuild.do, step, payload)
            except Exception as problem:  # noqa: BLE001  # it is raised where the next step is put
                self._problem = problem
            finally:
                self._queue.task_done()


class _Cutter:
    """Cuts the bytes of a leg into its steps' payloads."""

    def __init__(self, leg: Leg, line: Line) -> None:
        self._steps = iter(leg.steps)
        self._line = line
        self._step: Step | None = None
        self._missing = 0
        self._payload = bytearray()

    async def begin(self) -> None:
        """Hand on what needs nothing, up to the first step that does."""
        for step in self._steps:
            need = need_of(step)
            if need is not None:
                self._step, self._missing = step, need.length
                return
            await self._line.put(step, b"")
        self._step = None

    async def take(self, block: bytes) -> None:
        """Bytes of the leg's range, in order."""
        view = memoryview(block)
        while view:
            assert self._step is not None, "a range is as long as its steps' needs"
            part = view[: self._missing]
            self._payload += part
            self._missing -= len(part)
            view = view[len(part) :]
            if not self._missing:
                payload, self._payload = bytes(self._payload), bytearray()
                await self._line.put(self._step, payload)
                await self.begin()


def _parts(step: Step) -> Iterator[Step]:
    """A long copy in pieces, so that a cancelled fetch does not go on copying for minutes."""
    if not isinstance(step, FromHeld):
        yield step
        return
    for done in range(0, step.length, _COPY_BYTES):
        length = min(_COPY_BYTES, step.length - done)
        yield FromHeld(step.start + done, length, step.source, step.source_start + done)
