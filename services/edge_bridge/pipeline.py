"""One model's place on a robot: who infers, who counts that, and who brings the next version."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.converging.converge import Memory
from edge_bridge.converging.handlers import Converger
from edge_bridge.converging.needs import Needs
from edge_bridge.converging.receipts import Receipts
from edge_bridge.converging.registry import Registry
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.swap_gate import SwapGate
from edge_bridge.converging.together import Together
from edge_bridge.converging.trust import Trust
from edge_bridge.converging.watch import InferenceWatch
from edge_bridge.converging.withdrawals import WithdrawnDigests
from edge_bridge.disturbance.brake import Brake
from edge_bridge.disturbance.work import Work
from edge_bridge.facts import Facts
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.fetching.web import Web
from edge_bridge.frames import FrameType
from edge_bridge.link import Link
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.shipping.upstream import Upstream
from edge_bridge.sources.source import Source
from edge_bridge.store import ModelStore
from edge_bridge.updating.launched import Launched
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.ledger import Ledger
from edge_bridge.workers.pump import Loan
from edge_bridge.workers.slots import Slots, StagedModel
from edge_bridge.workers.twins import Twins
from fleetward.contracts.ids import BootId, ModelName
from fleetward.contracts.robots import PipelineStanding


class Shared(Struct, frozen=True, kw_only=True):
    """What a robot has once, whatever it serves."""

    boot_id: BootId
    facts: Facts
    launched: Launched | None
    """None: this bridge cannot start another release of itself."""
    link: Link
    needs: Needs
    receipts: Receipts
    registry: Registry
    reporter: Reporter
    store: ModelStore
    together: Together
    trust: Trust
    twins: Twins | None
    upstream: Upstream
    web: Web
    withdrawn: WithdrawnDigests
    work: Work


class Heard(Struct, frozen=True, kw_only=True):
    """Who hears what pipelines do; nobody may block.

    on_result: every inference. on_shadowed: those that nobody gets. on_change: what a check-in would say
    is different now.
    """

    on_result: Callable[[InferenceDone], None]
    on_shadowed: Callable[[InferenceDone], None]
    on_change: Callable[[], None]


class Pipeline:
    """Frames in, results out, and one target at a time.

    ``name``: the only model that it takes, in all its versions; None: whichever comes.
    """

    def __init__(
        self,
        name: ModelName | None,
        settings: Settings,
        source: Source,
        memory: Memory,
        shared: Shared,
        heard: Heard,
    ) -> None:
        self.name = name
        self._settings = settings
        self._shared = shared
        self._heard = heard
        self._watch = InferenceWatch(settings.health)
        self._serving = shared.work.serving(
            f"{name or 'the robot'}'s inference", settings.disturbance.inference_p99_s
        )
        self.brake = Brake(
            settings.disturbance,
            shared.work,
            lambda: self.converger.braked(),  # noqa: PLW0108 (made later)
        )
        self.fetcher = self._made_fetcher()
        self.slots = self._made_slots(source)
        self._steps = self._made_steps()
        self.converger = Converger(
            settings,
            memory,
            steps=self._steps,
            brake=self.brake,
            together=shared.together,
            reporter=shared.reporter,
            on_change=heard.on_change,
            pipeline=name,
        )
        shared.needs.add(lambda: self.converger.memory)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        parts = {"frames": self.slots.run(), "converger": self.converger.run()}
        if self.limited:
            parts["brake"] = self.brake.run()
        return (
            parts if self.name is None else {f"{each}:{self.name}": parts[each] for each in parts}
        )

    @property
    def limited(self) -> bool:
        """Whether a preparation here may have to pause."""
        return self._shared.work.limited

    @property
    def active(self) -> StagedModel | None:
        """The model that serves, None before the first."""
        return self.slots.active

    @property
    def worker_pids(self) -> dict[str, int]:
        """The live workers' processes by their part, "active", "warm", "staged", "shadow"; for monitors."""
        return self.slots.worker_pids

    @property
    def ledger(self) -> Ledger:
        """How many frames ended how since this bridge started, and what became of each; to be read."""
        return self.slots.ledger

    def alerted(self, event: AlertEvent) -> None:
        """A rule began to hold on this robot, or no longer does."""
        self._watch.alerted(event)

    def lend(self, shape: tuple[int, ...], dtype: FrameType = "uint8") -> Loan | None:
        """A place to write the next frame into, so that nobody copies it; None when there is none."""
        return self.slots.lend(shape, dtype)

    def standing(self) -> PipelineStanding:
        """As a check-in says it of a pipeline that has a name."""
        assert self.name is not None, "the robot's own is the rest of the check-in"
        slots, ledger = self.slots, self.slots.ledger
        return PipelineStanding(
            name=self.name,
            generation=self.converger.memory.generation,
            active_model=slots.active.model if slots.active else None,
            active_digest=slots.active.digest if slots.active else None,
            warm_digest=slots.warm.digest if slots.warm else None,
            staged_model=slots.staged.model if slots.staged else None,
            shadow_model=slots.shadow.model.model if slots.shadow.model else None,
            frames_captured=ledger.frames_captured,
            frames_served=ledger.frames_served,
            frames_failed=ledger.frames_failed,
            frames_dropped=ledger.frames_dropped,
            frames_reissued=ledger.frames_reissued,
            bytes_fetched=self.fetcher.received_bytes,
            fetching=self.fetcher.progress,
            held_back=self.converger.held_back,
        )

    async def close(self) -> None:
        """End every worker."""
        await self.slots.close()

    def _made_fetcher(self) -> Fetcher:
        shared = self._shared
        return Fetcher(
            shared.web.session,
            shared.registry.grant,
            shared.store,
            shared.trust,
            self._settings.fetch,
            self.brake.released,
            shared.upstream.others_first,
        )

    def _made_slots(self, source: Source) -> Slots:
        return Slots(
            self._settings.slots,
            source,
            on_result=self._inferred,
            on_fallback=lambda fall: self.converger.fell_back(fall),  # noqa: PLW0108 (made later)
            on_green_lost=lambda reason: self.converger.green_lost(reason),  # noqa: PLW0108 (made later)
            on_shadowed=self._shadowed,
            brake=self.brake,
            twins=self._shared.twins,
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
            needs=shared.needs,
            launched=shared.launched,
        )

    def _inferred(self, done: InferenceDone) -> None:
        self._watch.count(done.digest, done.latency_s, done.error)
        if done.error is None and self._serving is not None:
            self._serving.inferred(done.digest, done.latency_s)
        self._steps.first_frame.result(done.digest, done.frame)
        self._heard.on_result(self._named(done))

    def _shadowed(self, done: InferenceDone) -> None:
        """What a shadow answers is measured and compared, and goes to nobody."""
        self._watch.count(done.digest, done.latency_s, done.error)
        self._heard.on_shadowed(self._named(done))

    def _named(self, done: InferenceDone) -> InferenceDone:
        return done if self.name is None else replace(done, pipeline=self.name)
