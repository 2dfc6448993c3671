"""Blue and green: a new model is staged beside the one that serves, swapped in, taken back.

No frame is lost in a swap, and a robot that has a warm model is never without a working one: when
the active worker dies or hangs, the warm one has its frames within the same turn of the loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from edge_bridge.disturbance.brake import Brake
from edge_bridge.disturbance.limits import NO_LIMITS
from edge_bridge.disturbance.work import Work
from edge_bridge.errors import NothingStagedError, NothingWarmError
from edge_bridge.frames import FrameType
from edge_bridge.sources.source import Source
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.ledger import Ledger
from edge_bridge.workers.protocol import Inferred, Ready
from edge_bridge.workers.pump import FramePump, Loan, places_for
from edge_bridge.workers.ring import FrameRing
from edge_bridge.workers.shadow import Shadow
from edge_bridge.workers.slot import WorkerSlot
from edge_bridge.workers.slot_settings import SlotSettings
from edge_bridge.workers.staged_model import StagedModel
from edge_bridge.workers.succession import Succession
from edge_bridge.workers.ticket import Ticket
from edge_bridge.workers.twins import NoTwins, Twins
from fleetward.bus.logs import log
from fleetward.contracts.ids import Digest

__all__ = ["FellBack", "InferenceDone", "Slots", "StagedModel", "Swapped"]

_logger = logging.getLogger(__name__)


class Swapped(Struct, frozen=True, kw_only=True):
    """swap_ms: from the switch until blue had answered its last frame. first_frame: green's."""

    swap_ms: float
    first_frame: int


class FellBack(Struct, frozen=True, kw_only=True):
    """The warm model serves again; frames_reissued were in flight and went to it."""

    from_digest: Digest
    to_digest: Digest
    reason: str
    frames_reissued: int


class Slots:
    """One robot's models: active, warm (the one before) and staged (the one to come).

    One caller at a time stages, swaps and retires. What happens by itself: a dead active worker
    falls back to the warm one (``on_fallback``), or is restarted when there is none; one that takes ever
    more memory falls back too, or is renewed; a dead green one is gone (``on_green_lost``).
    """

    def __init__(
        self,
        settings: SlotSettings,
        source: Source,
        *,
        on_result: Callable[[InferenceDone], None],
        on_fallback: Callable[[FellBack], None],
        on_green_lost: Callable[[str], None] = lambda reason: None,
        on_shadowed: Callable[[InferenceDone], None] = lambda done: None,
        brake: Brake | None = None,
        twins: Twins | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._settings = settings
        self._brake = brake or Brake(NO_LIMITS, Work(NO_LIMITS))
        self._twins = twins or NoTwins()
        self._source = source
        self._on_fallback = on_fallback
        self._on_green_lost = on_green_lost
        self._ring = FrameRing(places_for(settings), settings.frame_limit_bytes)
        self.shadow = Shadow(
            settings,
            self._ring,
            self._brake,
            self._twins,
            on_inferred=on_shadowed,
            on_lost=on_green_lost,
        )
        """What sees the frames too and serves nobody: ``on_shadowed`` hears of each of its answers."""
        self._pump = FramePump(settings, self._ring, self.ledger, on_result, self.shadow)
        self._active: WorkerSlot | None = None
        self._warm: WorkerSlot | None = None
        self._staged: WorkerSlot | None = None
        self._loading: WorkerSlot | None = None
        self._succession = Succession(settings, self._brake, self._start, self._succeeded)

    @property
    def active(self) -> StagedModel | None:
        """The model frames go to, also while its worker is being restarted."""
        return self._active.staged if self._active else None

    @property
    def warm(self) -> StagedModel | None:
        return self._warm.staged if self._warm else None

    @property
    def staged(self) -> StagedModel | None:
        return self._staged.staged if self._staged else None

    @property
    def restarts(self) -> int:
        """How often the active model's worker was started again because it died."""
        return self._succession.restarts

    @property
    def renewals(self) -> int:
        """How often the active model was given a fresh worker because its own had grown too much."""
        return self._succession.renewals

    @property
    def frames_held(self) -> int:
        """Frames that wait, or that some worker still reads."""
        return self._ring.held

    @property
    def serving(self) -> bool:
        """False before the first model and while a dead worker is being restarted."""
        return self._active is not None and self._active.alive

    @property
    def worker_pids(self) -> dict[str, int]:
        """The live workers' processes, by "active", "warm", "staged" and "shadow"."""
        slots = {"active": self._active, "warm": self._warm, "staged": self._staged}
        pids = {role: slot.pid for role, slot in slots.items() if slot and slot.alive}
        return pids if self.shadow.pid is None else {**pids, "shadow": self.shadow.pid}

    async def run(self) -> None:
        """Pump the source's frames until cancelled or until the source ends."""
        await self._source.run(self._pump.accept)

    def lend(self, shape: tuple[int, ...], dtype: FrameType = "uint8") -> Loan | None:
        """A place to write the next frame into, so that nobody copies it; None when there is none now."""
        return self._pump.lend(shape, dtype)

    async def stage(self, model: StagedModel) -> Ready:
        """Load and warm up a green worker; what serves is not disturbed.

        Replaces what was staged before. Raises LoadFailedError, WarmUpFailedError.
        """
        await self.discard_staged()
        green = self._loading = self._start(model)
        try:
            ready = await green.load(brake=self._brake if self.serving else None)
        finally:
            self._loading = None
        self._staged = green
        return ready

    async def swap(self) -> Swapped:
        """``switch``, and return once blue answered its last frame."""
        return await self.switch()

    def switch(self) -> Coroutine[Any, Any, Swapped]:
        """Send every frame from now on to green, keep blue warm; raises NothingStagedError.

        Await what is returned: a model that was warm already is retired by it.
        """
        if self._staged is None:
            raise NothingStagedError("no model is staged: stage one, and swap when it is warm.")
        began = time.monotonic()
        retired, blue = self._warm, self._active
        self._succession.forget()
        self._active, self._staged = self._staged, None
        self._warm = blue if blue and blue.alive else None
        first_frame = self._pump.aim(self._active)
        return _settled(self._warm, retired, began, first_frame)

    async def fall_back(self, reason: str) -> FellBack:
        """``switch_back``, and return once the bad worker ended."""
        return await self.switch_back(reason)

    def switch_back(self, reason: str) -> Coroutine[Any, Any, FellBack]:
        """``return_to_warm``; await what is returned: the bad worker ended."""
        bad = self._active
        return _ended(bad, self.return_to_warm(reason))

    def return_to_warm(self, reason: str) -> FellBack:
        """The warm model serves, and the bad worker is killed; raises NothingWarmError.

        ``on_fallback`` is not called: it is for what happens without the caller.
        """
        bad, good = self._active, self._warm
        if bad is None or good is None:
            raise NothingWarmError("no earlier model is warm: there is nothing to fall back to.")
        self._succession.forget()
        bad.kill()
        self._active, self._warm = good, None
        self._pump.aim(good)
        return FellBack(
            from_digest=bad.staged.digest,
            to_digest=good.staged.digest,
            reason=reason,
            frames_reissued=self._pump.reissue(bad),
        )

    async def retire_warm(self) -> None:
        """End the health window: the old worker ends, and its memory is returned."""
        retired, self._warm = self._warm, None
        if retired:
            try:
                await retired.drained()
            finally:  # nobody else knows of it any more
                retired.kill()
                self._pump.reissue(retired)
                await retired.stop()

    async def discard_staged(self) -> None:
        """Give up what is staged or being staged, if anything; that ``stage`` fails."""
        discarded, self._staged = self._staged or self._loading, None
        if discarded:
            await discarded.stop()

    async def close(self) -> None:
        """End every worker, close the account, give the shared memory back."""
        await self._succession.close()
        await self.discard_staged()
        await self.shadow.stop()
        slots = [slot for slot in (self._active, self._warm) if slot]
        self._active = self._warm = None
        self._pump.stop()
        for slot in slots:
            await slot.stop()
            self._pump.reissue(slot)  # nobody serves any more, so these end as dropped
        self._ring.close()

    # What a worker reports: SlotOwner.

    def answered(self, slot: WorkerSlot, ticket: Ticket, inferred: Inferred) -> None:
        self._pump.complete(slot, ticket, inferred)

    def died(self, slot: WorkerSlot, reason: str) -> None:
        digest = slot.staged.digest
        log(_logger, "slots.worker_died", level=logging.WARNING, reason=reason, digest=digest)
        if slot is self._staged:
            self._staged = None
            self._on_green_lost(reason)
        elif slot is self._active:
            self._replace_active(slot, reason)
        else:
            self._warm = None if slot is self._warm else self._warm
            self._pump.reissue(slot)

    def outgrown(self, slot: WorkerSlot, reason: str) -> None:
        renewing = not self._warm and self._succession.is_under_way
        if slot is not self._active or renewing:
            return
        digest = slot.staged.digest
        log(_logger, "slots.worker_outgrown", level=logging.WARNING, reason=reason, digest=digest)
        if self._warm:
            self._on_fallback(self.return_to_warm(f"the active worker leaks: {reason}"))
        else:
            self._succession.renew(slot)

    def _replace_active(self, dead: WorkerSlot, reason: str) -> None:
        if self._warm:
            self._on_fallback(self.return_to_warm(f"the active worker died: {reason}"))
            return
        self._pump.aim(None)
        self._pump.reissue(dead)
        self._succession.restart(dead)

    def _succeeded(self, fresh: WorkerSlot) -> None:
        self._active = fresh
        self._pump.aim(fresh)

    def _start(self, model: StagedModel) -> WorkerSlot:
        return WorkerSlot(model, self._settings, self._ring, self, self._twins)


async def _settled(
    blue: WorkerSlot | None, retired: WorkerSlot | None, began_s: float, first_frame: int
) -> Swapped:
    if blue:
        await blue.drained()
    swap_ms = (time.monotonic() - began_s) * 1e3
    if retired:
        await retired.stop()
    return Swapped(swap_ms=swap_ms, first_frame=first_frame)


async def _ended(bad: WorkerSlot | None, fell_back: FellBack) -> FellBack:
    if bad:
        await bad.stop()
    return fell_back
