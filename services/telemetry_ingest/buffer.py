"""Gathers frames until a segment is worth writing, and holds the bus back when the disk cannot."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from fleetward.bus.deliveries import Delivery
from telemetry_ingest.settings import Settings
from telemetry_ingest.store import Arrived


class Waiting(Struct, frozen=True):
    """A frame that is not durable yet, and the delivery to answer once it is."""

    delivery: Delivery
    arrived: Arrived

    @property
    def samples(self) -> int:
        """How many samples it holds; 0 for a refused frame."""
        return self.arrived.columns.samples if self.arrived.columns is not None else 0


class Buffer:
    """One writer's intake, bounded in samples and in frames."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: list[Waiting] = []
        self._samples = 0
        self._first_at_s = 0.0
        self._changed = asyncio.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, waiting: Waiting) -> None:
        """Take in one frame; waits while the buffer is full."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            if not self._waiting:
                self._first_at_s = asyncio.get_running_loop().time()
            self._waiting.append(waiting)
            self._samples += waiting.samples
            self._changed.notify_all()

    async def next_batch(self) -> list[Waiting]:
        """Everything gathered, once there is enough or the first frame waited long enough.

        Empty only after ``close``, when nothing is left.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            await self._until_worth_writing()
            batch, self._waiting, self._samples = self._waiting, [], 0
            self._changed.notify_all()
            return batch

    async def close(self) -> None:
        """Nothing more comes: hand out what there is without waiting for more."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def _until_worth_writing(self) -> None:
        try:
            async with asyncio.timeout_at(self._first_at_s + self._settings.flush_after_s):
                await self._changed.wait_for(self._is_worth_writing)
        except TimeoutError:
            return

    def _is_worth_writing(self) -> bool:
        return self._closed or self._samples >= self._settings.flush_samples

    def _has_room(self) -> bool:
        settings = self._settings
        return (
            self._samples < settings.buffer_samples and len(self._waiting) < settings.buffer_frames
        )
