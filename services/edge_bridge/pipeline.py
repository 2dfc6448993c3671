"""One model's place on a robot: who infers, who counts that, and who brings the next version."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from msgspec import Struct

from edge_bridge.converging.converge import Memory
from edge_bridge.converging.handlers import Converger
from edge_bridge.converging.receipts import Receipts
from edge_bridge.converging.registry import Registry
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.swap_gate import SwapGate
from edge_bridge.converging.trust import Trust
from edge_bridge.converging.watch import InferenceWatch
from edge_bridge.converging.withdrawals import WithdrawnDigests
from edge_bridge.disturbance.brake import Brake
from edge_bridge.facts import Facts
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.sources.source import Source
from edge_bridge.store import ModelStore
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.slots import Slots


class Shared(Struct, frozen=True, kw_only=True):
    """What a robot has once, whatever it serves."""

    facts: Facts
    receipts: Receipts
    registry: Registry
    reporter: Reporter
    session: aiohttp.ClientSession
    store: ModelStore
    trust: Trust
    withdrawn: WithdrawnDigests


class Pipeline:
    """Frames in, results out, and one target at a time.

    ``on_result`` hears of every inference, ``on_shadowed`` of those that nobody gets; neither may
    block. ``on_change``: what a check-in would say is different now.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        memory: Memory,
        shared: Shared,
        *,
        on_result: Callable[[InferenceDone], None],
        on_shadowed: Callable[[InferenceDone], None],
        on_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._on_result = on_result
        self._on_shadowed = on_shadowed
        self._watch = InferenceWatch(settings.health)
        self.brake = Brake(settings.disturbance, lambda: self.converger.braked())  # noqa: PLW0108 (made later)
        self.fetcher = Fetcher(
            shared.session,
            shared.registry.grant,
            shared.store,
            shared.trust,
            settings.fetch,
            self.brake.released,
        )
        self.slots = self._made_slots(source)
        self._steps = self._made_steps()
        self.converger = Converger(
            settings,
            memory,
            steps=self._steps,
            brake=self.brake,
            reporter=shared.reporter,
            on_change=on_change,
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        parts = {"frames": self.slots.run(), "converger": self.converger.run()}
        return {**parts, "brake": self.brake.run()} if self.brake.limited else parts

    async def close(self) -> None:
        """End every worker."""
        await self.slots.close()

    def _made_slots(self, source: Source) -> Slots:
        return Slots(
            self._settings.slots,
            source,
            on_result=self._inferred,
            on_fallback=lambda fall: self.converger.fell_back(fall),  # noqa: PLW0108 (made later)
            on_green_lost=lambda reason: self.converger.green_lost(reason),  # noqa: PLW0108 (made later)
            on_shadowed=self._shadowed,
            brake=self.brake,
        )

    def _made_steps(self) -> Steps:
        shared = self._shared
        return Steps(
            self._settings,
            slots=self.slots,
            store=shared.store,
            fetcher=self.fetcher,
            trust=shared.trust,
            watch=self._watch,
            withdrawn=shared.withdrawn,
            gate=SwapGate(lambda: shared.trust.clock, shared.facts),
            receipts=shared.receipts,
        )

    def _inferred(self, done: InferenceDone) -> None:
        self._watch.count(done.digest, done.latency_s, done.error)
        if done.error is None:
            self.brake.inferred(done.digest, done.latency_s)
        self._steps.first_result(done.digest, done.frame)
        self._on_result(done)

    def _shadowed(self, done: InferenceDone) -> None:
        """What a shadow answers is measured and compared, and goes to nobody."""
        self._watch.count(done.digest, done.latency_s, done.error)
        self._on_shadowed(done)
