"""Load, decide, save, publish: carries facts to the state machine and its decisions to the bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from weakref import WeakValueDictionary

from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.dead_letters import bury
from fleetward.bus.deliveries import Delivery
from fleetward.bus.errors import ConflictError
from fleetward.bus.listen import Kept
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.bus.tracing import current_traceparent, span
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.decisions import Given
from fleetward.contracts.errors import MalformedError
from fleetward.contracts.event import Event
from fleetward.contracts.gates import GateAnswered, RolloutApproved
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rollouts import (
    MAX_TARGETS_PER_STEP,
    Rollout,
    RolloutRefused,
    RolloutRequested,
)
from rollout_coordinator.advance import begun
from rollout_coordinator.conflicts import given_since, to_supersede
from rollout_coordinator.control import NEEDS_FLEET
from rollout_coordinator.decision_log import given, within_limit
from rollout_coordinator.errors import PlanRefusedError, contested
from rollout_coordinator.fold import Told, decided
from rollout_coordinator.interest import Interest
from rollout_coordinator.ledger import Opened, RolloutLedger, others_of
from rollout_coordinator.planner import Planner
from rollout_coordinator.recall import recalled
from rollout_coordinator.settings import Settings
from rollout_coordinator.site_plan import check_sites
from rollout_coordinator.sites import Sites
from rollout_coordinator.step import RobotTaken, Step, Tick
from rollout_coordinator.waiting import given_up, is_due, is_waiting

_logger = logging.getLogger(__name__)


class Handlers:
    """One coordinator replica; any number may run, the compare-and-set keeps them apart.

    Within one replica a rollout is decided by one task at a time: a write that is refused costs
    a reading, and live listeners hear of it (see ``fleetward.bus.batch``).
    """

    def __init__(
        self,
        connection: Client,
        ledger: RolloutLedger,
        interest: Interest,
        sites: Sites,
        planner: Planner,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._interest = interest
        self._sites = sites
        self._settings = settings
        self._now = now
        self._planner = planner
        self._cut_short: set[RolloutId] = set()
        self._turns: WeakValueDictionary[RolloutId, asyncio.Lock] = WeakValueDictionary()

    async def on_request(self, event: Event, kept: Kept) -> None:
        """A RolloutRequested, or a word to a rollout that exists."""
        if isinstance(event, RolloutRequested):
            await self._on_requested(event, kept.sequence)
        elif isinstance(event, RolloutControlRequested) and event.action in NEEDS_FLEET:
            await self._reopen(event, kept.stored_at)
        elif isinstance(event, RolloutControlRequested | RolloutApproved | GateAnswered):
            await self.apply(event.rollout_id, [(event, kept.stored_at)])

    async def on_facts(self, deliveries: Sequence[Delivery]) -> None:
        """A batch of what robots, alerts and telemetry say, folded per rollout."""
        told: dict[RolloutId, list[Told]] = defaultdict(list)
        for delivery in deliveries:
            try:
                fact = delivery.decode()
            except UnreadableMessageError as error:
                await bury(self._connection, delivery, error)
                continue
            for rollout_id in await self._concerned(fact):
                told[rollout_id].append((fact, delivery.published_at))
        for rollout_id, facts in told.items():
            await self.apply(rollout_id, facts)
        for delivery in deliveries:
            if not delivery.answered:
                await delivery.ack()

    async def _concerned(self, fact: Event) -> Sequence[RolloutId]:
        """A withdrawal is rare, and must not miss a rollout that a peer has just begun."""
        if isinstance(fact, ModelWithdrawn):
            return await self._ledger.open_ids()
        return self._interest.of(fact)

    async def on_tick(self, rollout_id: RolloutId, tick: Tick) -> None:
        """Time passes for an open rollout; one that waits begins when it is due."""
        if self._interest.is_waiting(rollout_id):
            await self._begin_if_due(rollout_id)
        else:
            await self.apply(rollout_id, [(tick, self._now())])

    async def apply(self, rollout_id: RolloutId, told: Sequence[Told]) -> None:
        """Fold facts into a rollout, one write after the other."""
        left = told
        async with self._turns.setdefault(rollout_id, asyncio.Lock()):
            while left:
                left = left[await self._decide(rollout_id, left) :] or self._rest(rollout_id)

    def _rest(self, rollout_id: RolloutId) -> Sequence[Told]:
        """A decision that wrote as many targets as one may goes on at once, and not with the clock."""
        if rollout_id not in self._cut_short:
            return ()
        self._cut_short.discard(rollout_id)
        now = self._now()
        return [(Tick(listening_since=now), now)]

    async def _decide(self, rollout_id: RolloutId, told: Sequence[Told]) -> int:
        """Write one decision, again when the rollout moved meanwhile; how many facts it took in."""
        lost: list[Told] = []
        for _ in range(self._settings.max_conflicts):
            current = await self._ledger.load(rollout_id)
            if current is None:
                return len(told)
            now = self._now()
            around = await self._sites.around(current.event, now)
            heard = within_limit([*lost, *told])
            made = decided(current.event, heard, now, around.surroundings)
            step = made.step
            rows = around.moved_by(step.rollout)
            if step.rollout is current.event and not rows:
                self._interest.note(current.event)
                return made.used - len(lost)
            on = given(made.mattered, around.surroundings)
            try:
                taken = await self._ledger.write(step, current, now, rows, on=on)
            except ConflictError:
                continue
            if not taken:
                self._decided(step)
                return made.used - len(lost)
            lost += [(fact, now) for fact in taken]
        raise contested(rollout_id, self._settings.max_conflicts)

    async def _on_requested(self, request: RolloutRequested, sequence: int) -> None:
        """Decide on a request, again when other rollouts or targets moved meanwhile.

        One that is answered comes again when whoever answered it died before the end of this.
        """
        for _ in range(self._settings.max_conflicts):
            with contextlib.suppress(ConflictError):
                if not await self._ledger.is_answered(request.rollout_id, sequence):
                    with span("coordinator.plan", rollout=request.rollout_id):
                        await self._begin(request, sequence)
                await self._recall_if_withdrawn(request.rollout_id)
                await self.apply(request.rollout_id, self._rest(request.rollout_id))
                return
        raise contested(request.rollout_id, self._settings.max_conflicts)

    async def _begin(self, request: RolloutRequested, sequence: int) -> None:
        now, opened = self._now(), await self._ledger.opened()
        try:
            rollout, on = await self._planner.planned(request, opened, now, current_traceparent())
            taken = await self._written(rollout, on, opened, now)
        except (PlanRefusedError, MalformedError) as error:
            await self._refuse(request, sequence, str(error), now)
            return
        if taken:
            reason = f"{taken[0].robot_id} was just given another target by {taken[0].by}."
            await self._refuse(request, sequence, reason, now)

    async def _written(
        self,
        plan: Rollout,
        on: Given,
        opened: Opened,
        now: datetime,
        waited: KeptRollout | None = None,
    ) -> list[RobotTaken]:
        """Write a rollout's first step with what it does to others; raises PlanRefusedError."""
        around = await self._sites.around(plan, now)
        check_sites(plan, around.surroundings)
        step = begun(plan, now, around.surroundings)
        others = others_of(opened, to_supersede(plan, opened.rollouts), now)
        steps = [step, *(other.step for other in others)]
        rows = around.moved_by(*(each.rollout for each in steps))
        on = replace(on, surroundings=around.surroundings)
        taken = await self._ledger.begin(step, opened, now, rows, waited, others, on=on)
        for written in () if taken else steps:
            self._decided(written)
        return taken

    async def _begin_if_due(self, rollout_id: RolloutId) -> None:
        """Plan a waiting rollout anew, again when something moved meanwhile."""
        async with self._turns.setdefault(rollout_id, asyncio.Lock()):
            for _ in range(self._settings.max_conflicts):
                waiting = await self._ledger.load(rollout_id)
                if waiting is None:
                    return
                if not is_waiting(waiting.event):
                    self._interest.note(waiting.event)
                    return
                awaited = [await self._ledger.load(each) for each in waiting.event.waits_for]
                if not is_due(waiting.event, [each.event for each in awaited if each], self._now()):
                    return
                with contextlib.suppress(ConflictError):
                    if await self._begun_anew(waiting):
                        return

    async def _begun_anew(self, waiting: KeptRollout) -> bool:
        """Whether it was decided on: it began, waits on, or cannot begin any more."""
        now, opened = self._now(), await self._ledger.opened()
        try:
            plan, on = await self._planner.replanned(waiting.event, opened, now)
            if plan is waiting.event:
                return True
            return not await self._written(plan, on, opened, now, waiting)
        except (PlanRefusedError, MalformedError) as error:
            step = given_up(waiting.event, str(error), now)
            on = Given(given_up=str(error))
            taken = await self._ledger.write(step, waiting, now, on=on)
            self._decided(step)
            return not taken

    async def _reopen(self, asked: RolloutControlRequested, stored_at: datetime) -> None:
        """Decide on a word about a rollout that ended, by what its robots were given since."""
        async with self._turns.setdefault(asked.rollout_id, asyncio.Lock()):
            for _ in range(self._settings.max_conflicts):
                current = await self._ledger.load(asked.rollout_id)
                if current is None:
                    return
                now, opened = self._now(), await self._ledger.opened()
                known = await self._ledger.targets(list(current.event.robots))
                targets = {robot: held.target for robot, held in known.items() if held.target}
                since = given_since(current.event, opened.rollouts, targets)
                around = await self._sites.around(current.event, now)
                surroundings = replace(around.surroundings, given_since=since)
                step = decided(current.event, [(asked, stored_at)], now, surroundings).step
                rows = around.moved_by(step.rollout)
                if step.rollout is current.event:
                    return
                with contextlib.suppress(ConflictError):
                    on = given([(asked, stored_at)], surroundings)
                    if not await self._ledger.write(step, current, now, rows, opened, on=on):
                        self._decided(step)
                        return
        raise contested(asked.rollout_id, self._settings.max_conflicts)

    async def _recall_if_withdrawn(self, rollout_id: RolloutId) -> None:
        """What was withdrawn between plan and write was told before the rollout was there."""
        kept, withdrawn = await self._ledger.load(rollout_id), await self._ledger.withdrawn()
        if kept is not None and kept.event.digest in withdrawn:
            now, reason = self._now(), withdrawn[kept.event.digest]
            await self.apply(rollout_id, [(recalled(kept.event, reason, now), now)])

    async def _refuse(
        self, request: RolloutRequested, sequence: int, reason: str, now: datetime
    ) -> None:
        log(_logger, "rollout.refused", rollout=request.rollout_id, reason=reason)
        refused = RolloutRefused(rollout_id=request.rollout_id, reason=reason, refused_at=now)
        message_id = f"refused:{request.rollout_id}:{sequence}"  # asked again, answered again
        await publish(self._connection, refused, message_id=message_id)

    def _decided(self, step: Step) -> None:
        self._interest.note(step.rollout)
        if len(step.targets) == MAX_TARGETS_PER_STEP:
            self._cut_short.add(step.rollout.rollout_id)
        for event in step.events:
            log(
                _logger,
                "rollout.decided",
                rollout=step.rollout.rollout_id,
                fact=type(event).__name__,
                state=step.rollout.state.value,
                reason=step.rollout.reason,
                targets=len(step.targets),
            )
