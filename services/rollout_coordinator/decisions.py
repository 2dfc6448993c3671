"""Decides on a rollout that has begun, and writes what was decided: what it was told, folded into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fleetward.bus.errors import ConflictError
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP
from rollout_coordinator.ahead import Ahead
from rollout_coordinator.decision import Decision, decision_on
from rollout_coordinator.errors import contested
from rollout_coordinator.fold import Told
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.settings import Settings
from rollout_coordinator.shard_order import shard_by_shard
from rollout_coordinator.sites import Sites
from rollout_coordinator.step import RobotTaken
from rollout_coordinator.turns import Turns


class Decisions:
    """One replica's decisions on rollouts that exist, each on one of them alone."""

    def __init__(
        self,
        ledger: RolloutLedger,
        sites: Sites,
        turns: Turns,
        outcomes: Outcomes,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._sites = sites
        self._turns = turns
        self._outcomes = outcomes
        self._settings = settings
        self._now = now
        self._ahead = Ahead(ledger, sites, now)

    async def go_on(self, rollout_id: RolloutId) -> None:
        """What is left of a decision that was cut short."""
        await self.apply(rollout_id, self._outcomes.rest(rollout_id))

    async def apply(self, rollout_id: RolloutId, told: Sequence[Told]) -> None:
        """Fold facts into a rollout, one write after the other."""
        known, held = self._ledger.held(rollout_id), None
        left = told if known is None else shard_by_shard(known.event, told)
        async with self._turns.of(rollout_id):
            while left:
                left = left[await self._decide(rollout_id, left, held) :]
                held = self._ledger.held(rollout_id)
                left = left or self._outcomes.rest(rollout_id)
            await self._ledger.nudge(rollout_id)

    async def _decide(
        self, rollout_id: RolloutId, told: Sequence[Told], held: KeptRollout | None
    ) -> int:
        """Write one decision, again when the rollout moved meanwhile; how many facts it took in.

        ``held``: as it stands if nobody else has moved it; None: read it.
        """
        lost: list[Told] = []
        for _ in range(self._settings.max_conflicts):
            current, held = held or await self._ledger.load(rollout_id), None
            if current is None:
                return len(told)
            decision = self._ahead.take(current.event) or await decision_on(
                current.event, [*lost, *told], self._sites, self._now()
            )
            used = decision.made.used - len(lost)
            if decision.step.rollout is current.event and not decision.rows():
                self._outcomes.seen(current.event)
                return used
            try:
                taken = await self._write(decision, current, goes_on=used == len(told))
            except ConflictError:
                continue
            if not taken:
                self._outcomes.written(decision.step)
                return used
            lost += [(fact, decision.now) for fact in taken]
        raise contested(rollout_id, self._settings.max_conflicts)

    async def _write(
        self, decision: Decision, current: KeptRollout, *, goes_on: bool
    ) -> list[RobotTaken]:
        """Write it. goes_on: unless it sets fewer targets than one may, nothing else comes before time."""
        step = decision.step
        is_followed = goes_on and len(step.targets) == MAX_TARGETS_PER_STEP
        return await self._ledger.write(
            step,
            current,
            decision.now,
            decision.rows(),
            on=decision.given(),
            ready=decision.ready,
            meanwhile=self._ahead.look if is_followed else None,
        )
