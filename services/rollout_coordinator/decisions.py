"""Decides on a rollout that has begun, and writes what was decided: what it was told, folded into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fleetward.bus.errors import ConflictError
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.contracts.ids import RolloutId
from rollout_coordinator.decision_log import given, within_limit
from rollout_coordinator.errors import contested
from rollout_coordinator.fold import Told, decided
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.outcomes import Outcomes
from rollout_coordinator.settings import Settings
from rollout_coordinator.sites import Sites
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

    async def go_on(self, rollout_id: RolloutId) -> None:
        """What is left of a decision that was cut short."""
        await self.apply(rollout_id, self._outcomes.rest(rollout_id))

    async def apply(self, rollout_id: RolloutId, told: Sequence[Told]) -> None:
        """Fold facts into a rollout, one write after the other."""
        left, held = told, None
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
            now = self._now()
            around = await self._sites.around(current.event, now)
            heard = within_limit([*lost, *told])
            made = decided(current.event, heard, now, around.surroundings)
            step = made.step
            rows = around.moved_by(step.rollout)
            if step.rollout is current.event and not rows:
                self._outcomes.seen(current.event)
                return made.used - len(lost)
            on = given(made.mattered, around.surroundings)
            try:
                taken = await self._ledger.write(step, current, now, rows, on=on)
            except ConflictError:
                continue
            if not taken:
                self._outcomes.written(step)
                return made.used - len(lost)
            lost += [(fact, now) for fact in taken]
        raise contested(rollout_id, self._settings.max_conflicts)
