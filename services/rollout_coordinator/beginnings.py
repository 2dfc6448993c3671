"""How a rollout begins, waits for its turn, or is opened again: with what that does to others."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from fleetward.bus.errors import ConflictError
from fleetward.bus.logs import log
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.bus.tracing import current_traceparent, span
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.decisions import Given
from fleetward.contracts.errors import MalformedError
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import Rollout, RolloutRequested
from rollout_coordinator.advance import begun
from rollout_coordinator.conflicts import given_since, to_supersede
from rollout_coordinator.decision_log import given
from rollout_coordinator.errors import PlanRefusedError, contested
from rollout_coordinator.fold import decided
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.opened import Opened, others_of
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.planner import FleetRead, Planner, planned_anew_on, planned_on
from rollout_coordinator.settings import Settings
from rollout_coordinator.site_plan import check_sites
from rollout_coordinator.sites import Sites
from rollout_coordinator.step import RobotTaken
from rollout_coordinator.turns import Turns
from rollout_coordinator.waiting import asked_by, given_up, is_due, is_waiting

_logger = logging.getLogger(__name__)


class Beginnings:
    """One replica's decisions that bind other rollouts too: compared and set by what is open."""

    def __init__(
        self,
        ledger: RolloutLedger,
        sites: Sites,
        planner: Planner,
        turns: Turns,
        outcomes: Outcomes,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._sites = sites
        self._planner = planner
        self._turns = turns
        self._outcomes = outcomes
        self._settings = settings
        self._now = now

    async def on_requested(self, request: RolloutRequested, sequence: int) -> None:
        """Decide on a request, on one reading of the fleet unless a rollout begins or ends meanwhile.

        Whom others are faster than each time is refused, and told so.
        """
        read, reason = None, ""
        for _ in range(self._settings.max_conflicts):
            if await self._ledger.is_answered(request.rollout_id, sequence):
                return
            try:
                with span("coordinator.plan", rollout=request.rollout_id):
                    read = await self._read(request, read)
                    taken = await self._begin(request, read)
            except ConflictError as problem:
                reason = str(problem)
            except (PlanRefusedError, MalformedError) as problem:
                await self._refuse(request, sequence, str(problem))
                return
            else:
                if not taken:
                    return
                reason = f"{taken[0].robot_id} was just given another target by {taken[0].by}."
                read = await self._planner.read_again(read, [each.robot_id for each in taken])
        tried = (
            f"it was planned {self._settings.max_conflicts} times, and each time others were first"
        )
        await self._refuse(request, sequence, f"{tried}: {reason} Start it again.")

    async def _read(self, request: RolloutRequested, read: FleetRead | None) -> FleetRead:
        """The fleet as it was read, as long as no rollout began, ended or took robots in since."""
        if read is not None and read.index == await self._ledger.index():
            return read
        return await self._planner.read(request, await self._ledger.opened())

    async def _begin(self, request: RolloutRequested, read: FleetRead) -> list[RobotTaken]:
        """Robots that others gave a target meanwhile: then nothing was written."""
        async with self._turns.of(*read.open_ids):
            opened, now = await self._ledger.opened(), self._now()
            read = await self._planner.followed(read, opened)
            plan, on = planned_on(read, request, now, current_traceparent())
            return await self._written(plan, on, opened, now)

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
            self._outcomes.written(written)
        return taken

    async def begin_if_due(self, rollout_id: RolloutId) -> None:
        """Plan a waiting rollout anew, again when something moved meanwhile."""
        read = None
        for _ in range(self._settings.max_conflicts):
            waiting = await self._ledger.load(rollout_id)
            if waiting is None:
                return
            if not is_waiting(waiting.event):
                self._outcomes.seen(waiting.event)
                return
            awaited = [await self._ledger.load(each) for each in waiting.event.waits_for]
            if not is_due(waiting.event, [each.event for each in awaited if each], self._now()):
                return
            with contextlib.suppress(ConflictError):
                read = await self._read(asked_by(waiting.event), read)
                taken = await self._begun_anew(waiting, read)
                if not taken:
                    return
                read = await self._planner.read_again(read, [each.robot_id for each in taken])
        raise contested(rollout_id, self._settings.max_conflicts)

    async def _begun_anew(self, waiting: KeptRollout, read: FleetRead) -> list[RobotTaken]:
        """It began, waits on, or cannot begin any more: unless others gave robots a target."""
        async with self._turns.of(waiting.event.rollout_id, *read.open_ids):
            opened, now = await self._ledger.opened(), self._now()
            read = await self._planner.followed(read, opened)
            try:
                plan, on = planned_anew_on(read, waiting.event, now)
                if plan is waiting.event:
                    return []
                return await self._written(plan, on, opened, now, waiting)
            except (PlanRefusedError, MalformedError) as problem:
                step = given_up(waiting.event, str(problem), now)
                on = Given(given_up=str(problem))
                await self._ledger.write(step, waiting, now, on=on)
                self._outcomes.written(step)
                return []

    async def reopen(self, asked: RolloutControlRequested, stored_at: datetime) -> None:
        """Decide on a word about a rollout that ended, by what its robots were given since."""
        async with self._turns.of(asked.rollout_id):
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
                        self._outcomes.written(step)
                        return
        raise contested(asked.rollout_id, self._settings.max_conflicts)

    async def _refuse(self, request: RolloutRequested, sequence: int, reason: str) -> None:
        log(_logger, "rollout.refused", rollout=request.rollout_id, reason=reason)
        await self._ledger.refuse(request.rollout_id, sequence, reason, self._now())
