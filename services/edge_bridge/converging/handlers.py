"""Carries out what converge.py decides, one step after the other, and writes down what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from functools import partial
from typing import Any

from msgspec.structs import replace

from edge_bridge.converging import actions, converge, outcome
from edge_bridge.converging.actions import Action
from edge_bridge.converging.attempts import attempt
from edge_bridge.converging.converge import Memory, next_action
from edge_bridge.converging.failing import Failing
from edge_bridge.converging.health_window import HealthWindow
from edge_bridge.converging.inbox import Inbox
from edge_bridge.converging.interrupting import unless
from edge_bridge.converging.lost_own import LostOwn
from edge_bridge.converging.member import PipelineMember
from edge_bridge.converging.own_model import fallen_to, restore_own_model, start_own_model
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.sparing import sparing
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.switching import Switching
from edge_bridge.converging.targets import Distrusted, Offered
from edge_bridge.converging.together import Together
from edge_bridge.converging.trust_state import is_held
from edge_bridge.converging.unasked import Unasked
from edge_bridge.converging.under_way import UnderWay
from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import ActivationError, ProofFailedError
from edge_bridge.journal import JournalError
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.workers.slots import FellBack
from fleetward.bus.tracing import span
from fleetward.contracts.ids import ModelName
from fleetward.contracts.robots import RobotTarget

_logger = logging.getLogger(__name__)


class Converger:
    """The robot's memory and its way to each target. One step at a time; a newer target interrupts."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        *,
        steps: Steps,
        brake: Brake,
        together: Together,
        reporter: Reporter,
        on_change: Callable[[], None],
        pipeline: ModelName | None = None,
    ) -> None:
        self._settings = settings
        self._steps = steps
        self._brake = brake
        self._together = together
        self._on_change = on_change
        self._remembered = Remembered(memory, reporter, on_change, pipeline)
        self._under_way = UnderWay(on_change)
        self._inbox = Inbox(settings.robot_id, self._remembered)
        self._window = HealthWindow(steps, on_fell_back=self.fell_back, on_over=self._window_over)
        self._member = PipelineMember(
            steps,
            self._remembered,
            self._window,
            on_interrupted=self.interrupt,
            on_returned=self._inbox.changed.set,
        )
        together.add(self._member)
        self._failing = Failing(self._member, together)
        self._unasked = Unasked(steps, self._member, together, retry_wait_s=settings.retry_wait_s)
        self._switching = Switching(steps, together, self._window)
        self._lost_own = LostOwn(self._remembered, steps, self._next)

    @property
    def memory(self) -> Memory:
        """What the robot remembers, as it is on its disk."""
        return self._remembered.memory

    @property
    def held_back(self) -> str:
        """Why the robot does not go on although it could, as of the newest look."""
        return self._under_way.held_back

    def offer(self, offered: Offered) -> None:
        """A signed target was read; an older or foreign one is refused here."""
        self._inbox.offer(offered)

    def distrust(self, distrusted: Distrusted) -> None:
        """A target without a good signature was read: nothing changes, and it is reported."""
        self._unasked.put(distrusted)

    def interrupt(self) -> None:
        """Something is known that comes before whatever is under way: a newer list of withdrawn digests."""
        self._inbox.interrupt()

    def fell_back(self, fall: FellBack) -> None:
        """The slots returned to the warm model: by themselves, or because the window said so."""
        self._steps.watch.wake()
        self._member.fell(fall)
        self._together.leave_with(self._member)
        self._unasked.put(fall)

    def green_lost(self, reason: str) -> None:
        """The worker that held the wanted model warm died: it is staged again."""
        self._steps.deaths.count(reason)
        self._steps.gate.stir()
        self._inbox.changed.set()

    async def run(self) -> None:
        """Serve the robot's own model at once, then converge for ever."""
        reporting = asyncio.ensure_future(self._unasked.run())
        try:
            await self._start_own_model()
            failures = 0
            while not reporting.done():
                failures = await attempt(
                    self._converge, self._inbox.changed, self._settings, failures
                )
            await reporting
        finally:
            reporting.cancel()
            self._window.stop()

    async def _converge(self) -> None:
        await self._lost_own.forget()
        await self._failing.write()
        await self._or_return(self._inbox.take())
        if isinstance(self._next(), actions.Rest):
            self._under_way.holds_back("")
            return
        target = self.memory.target
        with span(
            "bridge.converge",
            self.memory.traceparent,
            robot_id=self._settings.robot_id,
            digest=target.digest if target else "",
            generation=self.memory.generation,
        ):
            while not isinstance(action := self._next(), actions.Rest):
                if self._inbox.superseded.is_set():
                    self._inbox.changed.set()
                    return
                await self._step(action)
        if self._lost_own.is_lost:
            self._inbox.changed.set()  # its disk is asked again

    async def _step(self, action: Action) -> None:
        """One step; a failure for good is reported and settles this generation."""
        self._tell(action)
        try:
            self._member.refuse_alone(self._together)
            await self._perform(action)
        except ActivationError as problem:
            assert self.memory.target is not None, "only an accepted target fails"
            await self._give_up(self.memory.target, problem)
        if not isinstance(action, actions.AwaitSwap):
            self._on_change()

    def _tell(self, action: Action) -> None:
        """Say once what is under way, and what the robot waits for when it waits."""
        target, reason = self.memory.target, ""
        if isinstance(action, actions.AwaitSwap) and target is not None:
            reason = self._steps.gate.held_back(target) or self._together.waits_for(target)
        self._under_way.begins(action, self.memory.generation, reason)

    def braked(self) -> None:
        """The preparation under way pauses now, or goes on."""
        paused = self._brake.paused
        self._under_way.holds_back(paused and f"its preparation pauses: {paused}")

    async def _perform(self, action: Action) -> None:
        target = self.memory.target
        if isinstance(action, actions.DiscardStaged):
            await self._steps.slots.discard_staged()
        elif isinstance(action, actions.EndShadow):
            await self._steps.slots.shadow.stop()
        elif isinstance(action, actions.RetireWarm):
            await self._steps.slots.retire_warm()
        elif isinstance(action, actions.SwapBack):
            await self._switching.swap_back(self.memory)
        elif isinstance(action, actions.Restore):
            await unless(self._inbox.superseded, restore_own_model(self._remembered, self._steps))
        elif target is None:
            raise AssertionError("only an accepted target has further steps")
        elif isinstance(action, actions.Refuse):
            self._steps.withdrawn.refuse(target)
        elif isinstance(action, actions.Swap):
            await self._switching.swap(target)
        elif isinstance(action, actions.ReportStaged):
            await self._report_staged(target)
        else:
            await unless(self._inbox.superseded, self._spared(action, target))

    async def _spared(self, action: Action, target: RobotTarget) -> None:
        """A preparation pauses for the robot's work, but none that brings a model back, or the only one."""
        stage, step = actions.PREPARES.get(type(action)), partial(self._long_step, action, target)
        if stage is None or self._steps.slots.active is None or is_held(target, self.memory):
            await step()
        else:
            await sparing(self._brake, target, stage, step)

    async def _long_step(self, action: Action, target: RobotTarget) -> None:
        """What takes its time, and is given up at any moment for something newer."""
        if isinstance(action, actions.Fetch):
            await self._fetch(target)
        elif isinstance(action, actions.Stage):
            await self._steps.stage(target, self.memory)
        elif isinstance(action, actions.StartShadow):
            await self._steps.start_shadow(target, self.memory)
        elif isinstance(action, actions.Compare):
            await self._compare(target)
        elif isinstance(action, actions.AwaitSwap):
            await self._steps.await_swap(target)
        else:
            await self._prove(target)

    async def _report_staged(self, target: RobotTarget) -> None:
        warm_up_ms = self._steps.warm_up_ms(target.digest)
        offset_s = self._steps.gate.clock_offset_s()
        report = outcome.staged(target, warm_up_ms, self.memory, offset_s, _now())
        await self._remembered.change(converge.hold, [report])

    async def _compare(self, target: RobotTarget) -> None:
        seen = await self._steps.compare(target)
        if seen is not None:
            report = outcome.shadowed(target, seen, _now())
            await self._remembered.change(converge.hold, [report])

    async def _fetch(self, target: RobotTarget) -> None:
        cost = await self._steps.fetch(target, self.memory)
        await self._remembered.change(lambda memory: converge.charge(memory, target, cost))

    async def _prove(self, target: RobotTarget) -> None:
        self._steps.watch.begin_trial(target.digest, is_new=not is_held(target, self.memory))
        try:
            self._member.proved(target, await self._steps.prove(target))
            while not await self._together.commit(self._member, target):
                await self._steps.serve_on(target)
        except ProofFailedError:
            self._member.doubted()
            raise

    async def _give_up(self, target: RobotTarget, problem: ActivationError) -> None:
        self._failing.fail(target, problem)
        await self._or_return(self._failing.write())

    async def _or_return(self, writing: Coroutine[Any, Any, None]) -> None:
        """What failed its proof, or whose proof was broken off, serves no longer, also when the disk cannot
        keep a word of that. Raises JournalError."""
        try:
            await writing
        except JournalError:
            settled = converge.give_up(self.memory)
            slotted = self._steps.slotted(settled.target)
            if isinstance(next_action(settled, slotted), actions.SwapBack):
                await self._switching.swap_back(settled)
            raise

    async def _start_own_model(self) -> None:
        own = self.memory.active
        if own is None:
            return
        started = await start_own_model(self.memory, self._steps)
        self._lost_own.is_lost = started.placed is None
        if started.placed is not None and started.placed != own:
            self.fell_back(fallen_to(started.placed, own, started.reason))
        self._on_change()

    def _next(self) -> Action:
        target = self.memory.target
        slotted = self._steps.slotted(target)
        if target is not None and slotted.may_swap:
            slotted = replace(slotted, may_swap=not self._together.waits_for(target))
        return next_action(self.memory, slotted)

    def _window_over(self) -> None:
        self._steps.collect()
        self._inbox.changed.set()  # what was warm may be what a target wants held
        self._on_change()


def _now() -> datetime:
    return datetime.now(timezone.utc)
