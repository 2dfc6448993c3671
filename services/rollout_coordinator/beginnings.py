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
from rollout_coordinator.planner import Planner
from rollout_coordinator.settings import Settings
from rollout_coordinator.site_plan import check_sites
from rollout_coordinator.sites import Sites
from rollout_coordinator.step import RobotTaken
from rollout_coordinator.turns import Turns
from rollout_coordinator.waiting import given_up, is_due, is_waiting

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
        """Decide on a request, again when other rollouts or targets moved meanwhile."""
        for _ in range(self._settings.max_conflicts):
            with contextlib.suppress(ConflictError):
                if not await self._ledger.is_answered(request.rollout_id, sequence):
                    with span("coordinator.plan", rollout=request.rollout_id):
                        await self._begin(request, sequence)
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
            self._outcomes.written(written)
        return taken

    async def begin_if_due(self, rollout_id: RolloutId) -> None:
        """Plan a waiting rollout anew, again when something moved meanwhile."""
        async with self._turns.of(rollout_id):
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
            self._outcomes.written(step)
            return not taken

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

    async def _refuse(
        self, request: RolloutRequested, sequence: int, reason: str, now: datetime
    ) -> None:
        log(_logger, "rollout.refused", rollout=request.rollout_id, reason=reason)
        await self._ledger.refuse(request.rollout_id, sequence, reason, now)
