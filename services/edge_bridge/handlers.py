"""Carries out what converge.py decides, one step after the other, and writes down what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from edge_bridge import converge, outcome
from edge_bridge.converge import Action, Memory, next_action, refusal_reason
from edge_bridge.errors import ActivationError, DigestMismatchError, TransientError
from edge_bridge.health_window import HealthWindow
from edge_bridge.journal import JournalError
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.slots import FellBack
from edge_bridge.steps import Steps
from edge_bridge.targets import Distrusted, Offered
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.bus.tracing import span
from fleetward.contracts.event import Event
from fleetward.contracts.robots import ActivationStage, RobotTarget

_logger = logging.getLogger(__name__)


class Converger:
    """The robot's memory and its way to each target. One step at a time; a newer target interrupts."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        *,
        steps: Steps,
        reporter: Reporter,
        on_change: Callable[[], None],
    ) -> None:
        self.memory = memory
        self._settings = settings
        self._steps = steps
        self._reporter = reporter
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._superseded = asyncio.Event()
        self._offered: Offered | None = None
        self._memory_turn = asyncio.Lock()
        self._unasked: asyncio.Queue[FellBack | Distrusted] = asyncio.Queue()
        self._window = HealthWindow(steps, on_fell_back=self.fell_back, on_over=self._window_over)

    def offer(self, offered: Offered) -> None:
        """A signed target was read; an older or foreign one is refused here."""
        reason = refusal_reason(self._settings.robot_id, offered.target, self.memory)
        if reason is not None:
            log(_logger, "target.refused", level=logging.WARNING, reason=reason)
            return
        self._offered = offered
        if offered.target.generation > self.memory.generation:
            self._superseded.set()
        self._changed.set()

    def distrust(self, distrusted: Distrusted) -> None:
        """A target without a good signature was read: nothing changes, and it is reported."""
        self._unasked.put_nowait(distrusted)

    def withdrawn(self) -> None:
        """A newer list of withdrawn digests was read: it comes before whatever is under way."""
        self._superseded.set()
        self._changed.set()

    def fell_back(self, fall: FellBack) -> None:
        """The slots returned to the warm model: by themselves, or because the window said so."""
        self._steps.watch.wake()
        self._unasked.put_nowait(fall)

    async def run(self) -> None:
        """Serve the robot's own model at once, then converge for ever."""
        reporting = asyncio.ensure_future(self._report_unasked())
        try:
            await self._start_own_model()
            failures = 0
            while not reporting.done():
                failures = await self._attempt(failures)
            await reporting
        finally:
            reporting.cancel()
            self._window.stop()

    async def _attempt(self, failures: int) -> int:
        """Converge once and wait for a reason to do it again; return how often it failed in a row."""
        self._changed.clear()
        wait_s: float | None = None
        try:
            await self._converge()
            failures = 0
        except (TransientError, JournalError) as problem:
            failures += 1
            wait_s = pause_s(
                failures, self._settings.retry_wait_s, self._settings.retry_wait_limit_s
            )
            log(
                _logger,
                "converge.delayed",
                level=logging.WARNING,
                reason=str(problem),
                wait_s=wait_s,
            )
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), wait_s)
        return failures

    async def _converge(self) -> None:
        await self._take_offer()
        if isinstance(self._next(), converge.Rest):
            return
        target = self.memory.target
        with span(
            "bridge.converge",
            self.memory.traceparent,
            robot_id=self._settings.robot_id,
            digest=target.digest if target else "",
            generation=self.memory.generation,
        ):
            while not isinstance(action := self._next(), converge.Rest):
                if self._superseded.is_set():
                    self._changed.set()
                    return
                await self._step(action)

    async def _step(self, action: Action) -> None:
        """One step; a failure for good is reported and settles this generation."""
        log(_logger, f"bridge.{type(action).__name__.lower()}", generation=self.memory.generation)
        try:
            await self._perform(action)
        except ActivationError as problem:
            await self._give_up(problem)
        self._on_change()

    async def _perform(self, action: Action) -> None:
        target = self.memory.target
        if isinstance(action, converge.DiscardStaged):
            await self._steps.slots.discard_staged()
        elif isinstance(action, converge.RetireWarm):
            await self._steps.slots.retire_warm()
        elif isinstance(action, converge.SwapBack):
            self._window.stop()
            await self._steps.swap_back(f"generation {self.memory.generation} asks for it")
        elif target is None:
            raise AssertionError("only an accepted target has further steps")
        elif isinstance(action, converge.Refuse):
            self._steps.withdrawn.refuse(target)
        elif isinstance(action, converge.Fetch):
            await self._unless_superseded(self._fetch(target))
        elif isinstance(action, converge.Stage):
            await self._unless_superseded(self._steps.stage(target, self.memory))
        elif isinstance(action, converge.Swap):
            self._window.stop()
            await self._steps.swap(target)
        else:
            await self._unless_superseded(self._prove(target))

    async def _fetch(self, target: RobotTarget) -> None:
        cost = await self._steps.fetch(target, self.memory)
        await self._remember(lambda memory: converge.charge(memory, target, cost))

    async def _prove(self, target: RobotTarget) -> None:
        proof = await self._steps.prove(target)
        report = outcome.activated(target, proof, self.memory, _now())
        release = self._steps.release_of(target)
        await self._remember(lambda memory: converge.commit(memory, release), [report])
        log(_logger, "bridge.activated", model=str(target.model), generation=target.generation)
        self._window.start(target)

    async def _give_up(self, problem: ActivationError) -> None:
        target = self.memory.target
        log(_logger, "bridge.gave_up", level=logging.ERROR, reason=str(problem))
        if target is not None:
            report = outcome.failed(target, problem.stage, str(problem), _now())
            await self._remember(converge.give_up, [report])

    async def _unless_superseded(self, step: Coroutine[Any, Any, None]) -> None:
        """Run ``step`` to its end, or cancel it as soon as a newer target is offered."""
        working = asyncio.ensure_future(step)
        newer = asyncio.ensure_future(self._superseded.wait())
        try:
            await asyncio.wait({working, newer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            newer.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        if not working.cancelled():
            working.result()

    async def _take_offer(self) -> None:
        offered = self._offered
        if offered is not None and not refusal_reason(
            self._settings.robot_id, offered.target, self.memory
        ):
            await self._remember(
                lambda memory: converge.accept(
                    memory, offered.target, offered.traceparent, offered.key_id
                )
            )
        if self._offered is offered:
            self._offered = None
            self._superseded.clear()

    async def _remember(
        self, change: Callable[[Memory], Memory], facts: Sequence[Event] = ()
    ) -> None:
        """Change the memory and report, in one transaction; raises JournalError and changes nothing."""
        async with self._memory_turn:
            memory = change(self.memory)
            if memory != self.memory or facts:
                await self._reporter.report(memory, facts)
            self.memory = memory
        self._on_change()

    async def _report_unasked(self) -> None:
        """What happened by itself is written down beside whatever step is under way."""
        while True:
            happened = await self._unasked.get()
            while True:
                try:
                    await self._write_down(happened)
                    break
                except JournalError as problem:
                    log(_logger, "report.unwritten", level=logging.ERROR, reason=str(problem))
                    await asyncio.sleep(self._settings.retry_wait_s)

    async def _write_down(self, happened: FellBack | Distrusted) -> None:
        if isinstance(happened, Distrusted):
            report = outcome.failed(
                happened.claimed, ActivationStage.TARGET, happened.reason, _now()
            )
            await self._remember(lambda memory: memory, [report])
            return
        left, serving = self.memory.activated, self._steps.slots.active
        log(_logger, "bridge.fell_back", level=logging.WARNING, reason=happened.reason)
        if serving is None or not converge.is_own(self.memory, happened.from_digest):
            return
        placed = converge.Placed(serving.model, serving.digest)
        facts = [outcome.fell_back(left, happened, _now())] if left else []
        with span(
            "bridge.fall_back",
            self.memory.traceparent,
            robot_id=self._settings.robot_id,
            digest=serving.digest,
        ):
            await self._remember(lambda memory: converge.return_to(memory, placed), facts)
        self._changed.set()

    async def _start_own_model(self) -> None:
        """From the store, without the network: the proved model, else the one before it."""
        own = self.memory.active
        if own is None:
            return
        reason = "it is not in the store"
        for placed in (own, self.memory.previous):
            if placed is None or placed.digest not in self._steps.store.digests():
                continue
            if placed != own and placed.digest in self._steps.withdrawn.digests:
                continue
            try:
                await self._steps.place(placed)
            except ActivationError as problem:
                reason = str(problem)
                log(_logger, "bridge.start_failed", level=logging.ERROR, reason=reason)
                with suppress(DigestMismatchError):
                    await asyncio.to_thread(self._steps.store.verify, placed.digest)
                continue
            if placed != own:
                self.fell_back(_fall(own, placed, f"it could not be started: {reason}"))
            self._on_change()
            return
        with suppress(JournalError):
            await self._remember(converge.forget_own)

    def _next(self) -> Action:
        return next_action(self.memory, self._steps.slotted())

    def _window_over(self) -> None:
        keep = self._settings.store.models_unpinned
        self._steps.store.collect(converge.pinned(self.memory), keep)
        self._on_change()


def _fall(own: converge.Placed, placed: converge.Placed, reason: str) -> FellBack:
    return FellBack(
        from_digest=own.digest, to_digest=placed.digest, reason=reason, frames_reissued=0
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
