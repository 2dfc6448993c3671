"""The bridge's own place among what a robot runs: its targets name releases of the bridge.

What comes next is decided as for models (``converging/converge.py``): the release that runs is the active
one, the one that it would return to is warm, an installed one is staged. A swap ends this process; what
was swapped in proves itself when it runs, or the launcher starts the one before again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from functools import partial
from typing import Any

from edge_bridge.converging import actions, converge, outcome
from edge_bridge.converging.actions import Action
from edge_bridge.converging.attempts import attempt
from edge_bridge.converging.converge import Memory, Placed, next_action
from edge_bridge.converging.inbox import Inbox
from edge_bridge.converging.interrupting import to_its_end, unless
from edge_bridge.converging.outcome import Proof
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.sparing import sparing
from edge_bridge.converging.targets import Offered
from edge_bridge.converging.under_way import UnderWay
from edge_bridge.disturbance.brake import Brake
from edge_bridge.errors import ActivationError
from edge_bridge.reporting import Reporter
from edge_bridge.settings import Settings
from edge_bridge.updating.left_behind import (
    is_uncommitted,
    is_unknown,
    made_known,
    report_of,
)
from edge_bridge.updating.stepping import ReleaseSteps, on_disk
from fleetward.bus.logs import log
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.robots import PipelineStanding, RobotTarget
from fleetward.releases import launch

_logger = logging.getLogger(__name__)


class Updater:
    """One release at a time; a newer target interrupts."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        steps: ReleaseSteps,
        brake: Brake,
        reporter: Reporter,
        on_change: Callable[[], None],
    ) -> None:
        self.steps = steps
        self._settings = settings
        self._brake = brake
        self._on_change = on_change
        self._remembered = Remembered(memory, reporter, on_change, BRIDGE_MODEL)
        self._under_way = UnderWay(on_change, "release")
        self._inbox = Inbox(settings.robot_id, self._remembered)

    @property
    def memory(self) -> Memory:
        """What the robot remembers of releases, as it is on its disk."""
        return self._remembered.memory

    def standing(self) -> PipelineStanding:
        """As a check-in says it. A release on trial is not active yet; the enrolment's may have no name."""
        memory, slotted = self.memory, self.steps.slotted(self.memory.target)
        enrolled = self.steps.launched.enrolled
        named = {
            placed.digest: placed.model
            for placed in (enrolled, memory.previous, memory.active, _placed(memory.target))
            if placed is not None
        }
        on_trial = self.steps.launched.on_trial
        running = slotted.active if slotted.active in named and not on_trial else None
        staged = slotted.active if on_trial else slotted.staged
        return PipelineStanding(
            name=BRIDGE_MODEL,
            generation=memory.generation,
            active_model=named.get(running) if running else None,
            active_digest=running,
            warm_digest=slotted.warm,
            staged_model=named.get(staged) if staged else None,
            held_back=self._under_way.held_back,
        )

    def offer(self, offered: Offered) -> None:
        """A signed target was read; an older or foreign one is refused here."""
        self._inbox.offer(offered)

    def interrupt(self) -> None:
        """Something is known that comes before whatever is under way: a newer list of withdrawn digests."""
        self._inbox.interrupt()

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        parts = {"updater": self.run()}
        return {**parts, "brake:updater": self._brake.run()} if self.steps.limited else parts

    async def run(self) -> None:
        """Report what the launcher left behind, then converge for ever. Raises TrialFailedError."""
        failures = 0
        while True:
            failures = await attempt(self._converge, self._inbox.changed, self._settings, failures)

    async def _converge(self) -> None:
        await self._report_left()
        await self._catch_up()
        await self._inbox.take()
        while not isinstance(action := self._next(), actions.Rest):
            if self._inbox.superseded.is_set():
                self._inbox.changed.set()
                return
            await self._step(action)
        self._under_way.holds_back("")

    def _next(self) -> Action:
        target = self.memory.target
        return next_action(self.memory, self.steps.slotted(target))

    async def _step(self, action: Action) -> None:
        """One step; a failure for good is reported and settles this generation."""
        target = self.memory.target
        waits = isinstance(action, actions.AwaitSwap) and target is not None
        reason = self.steps.gate.held_back(target) if waits and target else ""
        self._under_way.begins(action, self.memory.generation, reason)
        try:
            if target is not None and target.generation > self.memory.settled_generation:
                self.steps.refuse(target)
            await unless(self._inbox.superseded, self._spared(action))
        except ActivationError as problem:
            await self._give_up(problem)
        if not waits:
            self._on_change()

    async def _spared(self, action: Action) -> None:
        """A preparation pauses for the robot's work."""
        stage, step = actions.PREPARES.get(type(action)), partial(self._perform, action)
        target = self.memory.target
        if stage is None or target is None:
            await step()
        else:
            await sparing(self._brake, target, stage, step)

    async def _perform(self, action: Action) -> None:
        target, steps = self.memory.target, self.steps
        if isinstance(action, actions.RetireWarm):
            await on_disk(steps.launched.place.change, lambda now: now._replace(before=""))
        elif isinstance(action, actions.SwapBack):
            warm = steps.slotted(target).warm
            wanted = target is not None and target.digest == warm
            await steps.hand_over(warm if wanted else None)
        elif target is None:
            raise AssertionError("only an accepted target has further steps")
        elif isinstance(action, actions.Refuse):
            steps.refuse_withdrawn(target)
        else:
            await self._towards(action, target)

    def _towards(self, action: Action, target: RobotTarget) -> Coroutine[Any, Any, None]:
        """The steps that a release goes through."""
        ways: dict[type[Action], Callable[[RobotTarget], Coroutine[Any, Any, None]]] = {
            actions.DiscardStaged: self.steps.discard,
            actions.Fetch: self._fetch,
            actions.Stage: lambda target: self.steps.stage(target, self.memory),
            actions.ReportStaged: self._report_staged,
            actions.AwaitSwap: self.steps.await_swap,
            actions.Swap: lambda target: self.steps.hand_over(target.digest),
            actions.Prove: self._prove,
        }
        return ways[type(action)](target)

    async def _fetch(self, target: RobotTarget) -> None:
        cost = await self.steps.fetch(target, self.memory)
        await self._remembered.change(lambda memory: converge.charge(memory, target, cost))

    async def _report_staged(self, target: RobotTarget) -> None:
        offset_s = self.steps.gate.clock_offset_s()
        report = outcome.staged(target, 0.0, self.memory, offset_s, _now())
        await self._remembered.change(converge.hold, [report])

    async def _prove(self, target: RobotTarget) -> None:
        proof = await self.steps.prove(target)
        await to_its_end(self._commit(target, proof))
        await self.steps.collect(target)

    async def _commit(self, target: RobotTarget, proof: Proof) -> None:
        """For the launcher, then for the journal. A newer target waits: between the two, it would find a
        release that runs for good and that the journal does not know."""
        reports = self.steps.proved(target, proof, self.memory, _now())
        release = self.steps.release_of(target)
        await on_disk(self.steps.launched.proved)
        await self._remembered.change(lambda memory: converge.commit(memory, release), reports)
        log(_logger, "bridge.updated", model=str(target.model), generation=target.generation)

    async def _catch_up(self) -> None:
        """What ended between the launcher and the journal is made whole before a newer target is taken."""
        target, launched = self.memory.target, self.steps.launched
        choice, running = launched.choice(), launched.digest
        if target is not None and is_uncommitted(choice, running, self.memory):
            await to_its_end(self._commit(target, self.steps.proof()))
        elif running is not None and is_unknown(choice, running, self.memory):
            model = self.steps.model_of(running)
            log(_logger, "bridge.release_unknown", level=logging.ERROR, release=launched.name)
            await self._remembered.change(lambda memory: made_known(memory, running, model))

    async def _give_up(self, problem: ActivationError) -> None:
        target = self.memory.target
        log(_logger, "bridge.gave_up", level=logging.ERROR, reason=str(problem))
        if target is not None:
            report = outcome.failed(target, problem.stage, str(problem), _now())
            await self._remembered.change(converge.give_up, [report])

    async def _report_left(self) -> None:
        """The launcher started us in place of another release: that is known to the hub, then forgotten."""
        choice = self.steps.launched.choice()
        if not choice.left:
            return
        running = self.steps.launched.digest
        change, facts = report_of(choice, running, self.memory, _now())
        log(
            _logger,
            "bridge.left_release",
            level=logging.ERROR,
            release=choice.left,
            reason=choice.reason,
        )
        await self._remembered.change(change, facts)
        await on_disk(self.steps.launched.place.change, launch.reported)


def _placed(target: RobotTarget | None) -> Placed | None:
    return Placed(target.model, target.digest) if target is not None else None


def _now() -> datetime:
    return datetime.now(timezone.utc)
