"""A model that sees live frames beside the one that serves, and answers nobody.

It reads the same places of the ring and skips whatever comes while it is busy: latest wins, by its own
pace, and sees none while the robot's work suffers. It infers under SCHED_IDLE, one thread, so that it only has what nobody else wants. When it dies
or hangs, its worker ends and the frames of the one that serves are as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module

from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.disturbance.brake import Brake
from edge_bridge.workers.comparison import Comparison
from edge_bridge.workers.inference_done import InferenceDone, done_by
from edge_bridge.workers.protocol import Inferred, Ready
from edge_bridge.workers.ring import FrameRing
from edge_bridge.workers.slot import WorkerSlot
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.staged_model import StagedModel
from edge_bridge.workers.ticket import Ticket
from edge_bridge.workers.twins import Twins

_ARITHMETIC = "edge_bridge.workers.distance"
"""Loaded when there is something to compare, and not while frames wait."""
MAX_OPEN = 16
"""Frames of which one answer is still to come; older ones are not compared any more."""


class _Pair(Struct):
    """The answers to one frame, as they come."""

    serving: Inferred | None = None
    shadow: Inferred | None = None


class Shadow:
    """At most one worker, and how its answers compare since it or the serving model began."""

    def __init__(
        self,
        settings: SlotSettings,
        ring: FrameRing,
        brake: Brake,
        twins: Twins,
        *,
        on_inferred: Callable[[InferenceDone], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.comparison = Comparison()
        self._settings = replace(settings, frame_deadline_s=settings.shadow_deadline_s)
        self._ring = ring
        self._brake = brake
        self._twins = twins
        self._on_inferred = on_inferred
        self._on_lost = on_lost
        self._slot: WorkerSlot | None = None
        self._loading: WorkerSlot | None = None
        self._open: dict[int, _Pair] = {}

    @property
    def model(self) -> StagedModel | None:
        """What sees frames now."""
        return self._slot.staged if self._slot else None

    @property
    def pid(self) -> int | None:
        """The live worker's process."""
        return self._slot.pid if self._slot and self._slot.alive else None

    async def start(self, model: StagedModel) -> Ready:
        """Load and warm up beside what serves; raises LoadFailedError, WarmUpFailedError."""
        await self.stop()
        await asyncio.to_thread(import_module, _ARITHMETIC)
        slot = self._loading = WorkerSlot(model, self._settings, self._ring, self, self._twins)
        try:
            ready = await slot.load(brake=self._brake, idle=True)
        finally:
            self._loading = None
        self._slot = slot
        self.begin_anew()
        return ready

    async def stop(self) -> None:
        """End its worker, if there is one, whatever it is doing."""
        slot, self._slot = self._slot or self._loading, None
        if slot is not None:
            slot.kill()
            self._forget(slot)
            await slot.stop()

    def begin_anew(self) -> None:
        """Another model serves from here on: what was compared says nothing about it."""
        self.comparison = Comparison()
        self._open.clear()

    # What the pump tells.

    def wants(self, ticket: Ticket) -> bool:
        """Whether it is idle and disturbs nothing; a frame tried before is never shown again."""
        if self._slot is None or self._brake.disturbed:
            return False
        return self._slot.has_room and ticket.reissues == 0

    def show(self, ticket: Ticket) -> None:
        """The serving model was just given this frame, which lies in the ring until both are done."""
        if self._slot is None:
            return
        self._ring.retain(ticket.offset)
        self._open[ticket.frame] = _Pair()
        while len(self._open) > MAX_OPEN:
            del self._open[next(iter(self._open))]
        self._slot.give(ticket)

    def served(self, ticket: Ticket, inferred: Inferred) -> None:
        """The serving model's answer; one that failed, or came from another model, compares nothing."""
        pair = self._open.get(ticket.frame)
        if pair is None:
            return
        if inferred.error is not None or ticket.reissues:
            del self._open[ticket.frame]
            return
        pair.serving = inferred
        self._settle(ticket.frame, pair)

    # What its worker reports: SlotOwner.

    def answered(self, slot: WorkerSlot, ticket: Ticket, inferred: Inferred) -> None:
        self._ring.release(ticket.offset)
        pair = self._open.get(ticket.frame)
        if inferred.error is not None:
            self.comparison.fail(inferred.error)
            self._open.pop(ticket.frame, None)
        elif pair is not None:
            pair.shadow = inferred
            self._settle(ticket.frame, pair)
        self._on_inferred(done_by(slot, ticket, inferred))

    def died(self, slot: WorkerSlot, reason: str) -> None:
        self._forget(slot)
        if slot is self._slot:
            self._slot = None
            self._on_lost(reason)

    def outgrown(self, slot: WorkerSlot, reason: str) -> None:
        slot.kill()
        self.died(slot, reason)

    def _forget(self, slot: WorkerSlot) -> None:
        for ticket in slot.take_back():
            self._ring.release(ticket.offset)
            self._open.pop(ticket.frame, None)

    def _settle(self, frame: int, pair: _Pair) -> None:
        if pair.serving is not None and pair.shadow is not None:
            del self._open[frame]
            self.comparison.count(pair.serving, pair.shadow)
