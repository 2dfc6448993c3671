"""The single steps towards a target: each does one thing to the store or the slots, or says why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from datetime import datetime
from typing import Any

from edge_bridge.converging.converge import Cost, Memory, Placed, Slotted
from edge_bridge.converging.first_frame import FirstFrame
from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.converging.needs import Needs
from edge_bridge.converging.outcome import Proof, activated
from edge_bridge.converging.receipts import Receipts
from edge_bridge.converging.swap_gate import SwapGate
from edge_bridge.converging.trust import Trust
from edge_bridge.converging.trust_state import is_held
from edge_bridge.converging.verify import verified_manifest
from edge_bridge.converging.watch import InferenceWatch
from edge_bridge.converging.withdrawals import WithdrawnDigests
from edge_bridge.errors import (
    DigestMismatchError,
    ProofFailedError,
    ShadowFailedError,
    TransientError,
)
from edge_bridge.fetching.fetch import Fetcher
from edge_bridge.settings import Settings
from edge_bridge.store import ModelStore
from edge_bridge.updating.launched import Launched
from edge_bridge.workers.comparison import Comparison
from edge_bridge.workers.green_deaths import GreenDeaths
from edge_bridge.workers.protocol import Ready
from edge_bridge.workers.slots import Slots, StagedModel
from fleetward.bus.tracing import span
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import RobotTarget

_NEWS_TIMEOUT_S = 0.5


class Steps:
    """Acts on store, slots and watch; knows nothing of memory, reports or what comes next."""

    def __init__(
        self,
        settings: Settings,
        *,
        slots: Slots,
        store: ModelStore,
        fetcher: Fetcher,
        trust: Trust,
        watch: InferenceWatch,
        withdrawn: WithdrawnDigests,
        gate: SwapGate,
        receipts: Receipts,
        needs: Needs,
        launched: Launched | None = None,
    ) -> None:
        self.robot_id = settings.robot_id
        self.gate = gate
        self.slots = slots
        self.watch = watch
        self.store = store
        self.withdrawn = withdrawn
        self._settings = settings
        self._fetcher = fetcher
        self._trust = trust
        self._receipts = receipts
        self._needs = needs
        self.launched = launched
        self._warm_up: Ready | None = None
        """Of the model that was loaded last; None when the one that serves was warm already."""
        self._swap_ms = 0.0
        self._late_s: float | None = None
        self.deaths = GreenDeaths()
        self.first_frame = FirstFrame(settings.robot_id)

    def slotted(self, target: RobotTarget | None) -> Slotted:
        """What is so right now, for a robot whose newest target this is.

        ``may_swap`` holds for this turn of the event loop: a swap that is decided on it is done in it.
        """
        return Slotted(
            active=_digest(self.slots.active),
            warm=_digest(self.slots.warm),
            staged=_digest(self.slots.staged),
            shadow=_digest(self.slots.shadow.model),
            stored=self.store.digests(),
            withdrawn=self.withdrawn.digests,
            may_swap=target is None or self.gate.is_open(target),
        )

    async def fetch(self, target: RobotTarget, memory: Memory) -> Cost:
        """Bring the bytes into the store; return what that cost."""
        with span("bridge.fetch", **self._attributes(target)):
            await self._trust.permit(target, memory)
            async with self._needs.fetching:
                return await self._fetcher.fetch(target, self._needs.pinned(), memory.bytes_fetched)

    def collect(self) -> None:
        """Remove what nothing on this robot needs, but for some."""
        self.store.collect(self._needs.pinned(), self._settings.store.models_unpinned)

    async def stage(self, target: RobotTarget, memory: Memory) -> None:
        """Verify what is stored and warm a green worker up with it."""
        with span("bridge.stage", **self._attributes(target)):
            await self._permit_stored(target, memory)
            self._warm_up = await self._load(Placed(target.model, target.digest))

    async def start_shadow(self, target: RobotTarget, memory: Memory) -> None:
        """Verify what is stored and show it the frames too."""
        with span("bridge.shadow", **self._attributes(target)):
            await self._permit_stored(target, memory)
            await self.slots.shadow.start(self._stored(Placed(target.model, target.digest)))

    async def compare(self, target: RobotTarget) -> Comparison | None:
        """Wait for enough compared frames; None when the shadow is gone. Raises ShadowFailedError."""
        if _digest(self.slots.active) == target.digest:
            raise ShadowFailedError(f"{target.model} serves here already: compare it elsewhere.")
        shadow, bounds = self.slots.shadow, self._settings.health
        while _digest(shadow.model) == target.digest:
            seen = shadow.comparison
            if seen.frames >= target.proof_inferences:
                self._receipts.compared(target.digest, seen)
                return seen
            if seen.errors >= bounds.min_inferences and seen.error_share > bounds.max_error_share:
                raise ShadowFailedError(
                    f"{target.model} failed on {seen.errors} frames and answered {seen.frames}; "
                    f"the last failure: {seen.last_error}"
                )
            await self.watch.news(_NEWS_TIMEOUT_S)
        return None

    async def place(self, placed: Placed) -> None:
        """Serve a model of the robot's own that is in the store already."""
        await self._load(placed)
        await to_its_end(self._serve_alone(placed, self.slots.switch()))

    async def _serve_alone(self, placed: Placed, settling: Awaitable[object]) -> None:
        await settling
        self.watch.begin(placed.digest, keep=())
        await self.slots.retire_warm()

    def may_restore(self, digest: Digest) -> bool:
        """Whether a model of the robot's own can be placed."""
        return digest in self.store.digests() - self.withdrawn.digests

    async def swap(self, target: RobotTarget) -> None:
        """Let green serve; blue stays warm. Until it serves nothing is awaited: see ``slotted``."""
        lateness = _lateness(self.gate.late_s(target))
        with span("bridge.swap", **self._attributes(target), **lateness):
            await self.switch(target)

    def switch(self, target: RobotTarget) -> Coroutine[Any, Any, None]:
        """Let the target's model serve from now on, which is staged or warm; await what is returned."""
        self._late_s = self.gate.late_s(target)
        is_staged = _digest(self.slots.staged) == target.digest
        self.first_frame.await_of(self.slots.staged if is_staged else self.slots.warm)
        if not is_staged:
            self._warm_up = None
            return self._timed(
                self.slots.switch_back(f"generation {target.generation} asks for it")
            )
        blue = _digest(self.slots.active)
        self.watch.begin(target.digest, keep=[blue] if blue else [])
        return self._timed(self.slots.switch())

    async def _timed(self, settling: Coroutine[Any, Any, object]) -> None:
        started_s = time.monotonic()
        await settling
        self._swap_ms = (time.monotonic() - started_s) * 1e3

    async def swap_back(self, reason: str, target: RobotTarget | None) -> None:
        """Return to the warm model; no byte moves. ``target``: the one that asks for it, if any does."""
        started_s = time.monotonic()
        self._late_s = self.gate.late_s(target) if target is not None else None
        lateness = _lateness(self._late_s)
        with span("bridge.swap", robot_id=self.robot_id, reason=reason, **lateness):
            if self.slots.warm is None:
                return
            self.first_frame.await_of(self.slots.warm)
            await self.slots.fall_back(reason)
        self._swap_ms, self._warm_up = (time.monotonic() - started_s) * 1e3, None

    async def prove(self, target: RobotTarget) -> Proof:
        """Wait for good inferences of the target's digest; raises ProofFailedError."""
        outcomes = self.watch.of(target.digest)
        before = outcomes.good
        started_s = time.monotonic()
        captured = self.slots.ledger.frames_captured
        while (good := outcomes.good - before) < target.proof_inferences:
            frames = self.slots.ledger.frames_captured - captured
            late = time.monotonic() - started_s > self._settings.proof_timeout_s
            reason = self._trouble(target)
            if reason is None and late and target.proof_inferences < frames:
                reason = f"{frames} frames arrived within {self._settings.proof_timeout_s:g} s"
            if reason is not None:
                raise ProofFailedError(
                    f"{target.model} gave {good} of {target.proof_inferences} good inferences: {reason}."
                )
            await self.watch.news(_NEWS_TIMEOUT_S)
        return Proof(
            inferences=good,
            swap_ms=self._swap_ms,
            warm_up=self._warm_up,
            switch_late_s=self._late_s,
        )

    async def serve_on(self, target: RobotTarget) -> None:
        """A while of serving what was proved, until more is known; raises ProofFailedError."""
        reason = self._trouble(target)
        if reason is not None:
            raise ProofFailedError(
                f"{target.model} was proved, and failed before all were that it switches with: {reason}."
            )
        await self.watch.news(_NEWS_TIMEOUT_S)

    async def proved(
        self, target: RobotTarget, proof: Proof, memory: Memory, now: datetime
    ) -> list[Event]:
        """What is said of a target that is reached: that it is, and the receipt of its swap."""
        receipt = await asyncio.to_thread(self._receipts.of, target, proof, now)
        return [activated(target, proof, memory, now), *([receipt] if receipt else [])]

    async def await_swap(self, target: RobotTarget) -> None:
        """A while of waiting for the gate; raises TransientError while the hub's time is unknown."""
        if not self.gate.knows_the_time(target):
            await self._trust.refresh(None)
        await self.gate.news(target)

    def warm_up_ms(self, digest: Digest) -> float:
        """How long staging took to warm ``digest`` up; 0 when it was warm already."""
        loaded = self._warm_up if _digest(self.slots.staged) == digest else None
        return loaded.warm_up_ms if loaded else 0.0

    def release_of(self, target: RobotTarget) -> int:
        """Which release the registry last said this is; 0 when it does not list it."""
        return self._trust.release_of(target)

    def _trouble(self, target: RobotTarget) -> str | None:
        if _digest(self.slots.active) != target.digest:
            return "its worker died and the model before serves again"
        return self.watch.reason_against(target.digest, _digest(self.slots.warm))

    async def _verify_stored(self, target: RobotTarget, memory: Memory) -> None:
        """A model that rotted on disk is fetched again; one that is not listed is refused.

        What the robot served before it knows by its digest, whatever is listed today.
        """
        try:
            await asyncio.to_thread(self.store.verify, target.digest)
            if not is_held(target, memory):
                verified_manifest(self._trust, self.store.manifest(target.digest), target)
        except (DigestMismatchError, UnreadableMessageError, OSError) as problem:
            self.store.remove(target.digest)
            raise TransientError(f"{target.model} must be fetched again: {problem}") from problem

    async def _permit_stored(self, target: RobotTarget, memory: Memory) -> None:
        self.deaths.refuse(target)
        await self._trust.permit(target, memory)
        await self._verify_stored(target, memory)

    async def _load(self, placed: Placed) -> Ready:
        return await self.slots.stage(self._stored(placed))

    def _stored(self, placed: Placed) -> StagedModel:
        path = self.store.path(placed.digest)
        return StagedModel(model=placed.model, digest=placed.digest, path=path)

    def _attributes(self, target: RobotTarget) -> dict[str, str]:
        return {"robot_id": target.robot_id, "digest": target.digest, "model": str(target.model)}


def _lateness(late_s: float | None) -> dict[str, str]:
    return {} if late_s is None else {"late_ms": f"{late_s * 1e3:.3f}"}


def _digest(model: StagedModel | None) -> Digest | None:
    return model.digest if model else None
