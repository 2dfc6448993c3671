"""Answers why a rollout is where it is, from its state and its log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.history import history
from fleetward.bus.last_values import last_value
from fleetward.contracts.decisions import ExplainRollout, RolloutDecided, RolloutExplained
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_index import RolloutRefused
from rollout_coordinator.errors import CoordinatorError
from rollout_coordinator.explain import Asked, explained, refused, with_log
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.replay import replayed
from rollout_coordinator.sites import Sites

MAX_EXPLAINED_AT_ONCE = 1
"""A log that is made again takes a processor; decisions go first."""


class Explainer:
    """One replica's answers. Reads alone; what it works out runs beside the decisions."""

    def __init__(
        self,
        connection: Client,
        ledger: RolloutLedger,
        sites: Sites,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._sites = sites
        self._now = now
        self._turns = asyncio.Semaphore(MAX_EXPLAINED_AT_ONCE)

    async def explain(self, question: ExplainRollout) -> RolloutExplained:
        """The answer; raises CoordinatorError when nobody knows the rollout, BusError."""
        wanted = question.rollout_id
        async with self._turns:
            kept = await self._ledger.load(wanted)
            if kept is None:
                return await self._refused(wanted)
            decisions = [
                decision
                async for decision in history(self._connection, RolloutDecided, rollout_id=wanted)
            ]
            now = self._now()
            asked = Asked(
                rollout=kept.event,
                robot=question.robot_id,
                now=now,
                around=(await self._sites.around(kept.event, now)).surroundings,
                opened=await self._ledger.open_rollouts() if question.robot_id else (),
            )
            answer = await asyncio.to_thread(explained, asked, replayed(decisions))
            return with_log(answer, len(decisions), kept.event.revision)

    async def _refused(self, wanted: RolloutId) -> RolloutExplained:
        refusal = await last_value(self._connection, RolloutRefused, rollout_id=wanted)
        if refusal is None:
            raise CoordinatorError(
                f"No rollout has the id {wanted}. `fleetward rollout list` shows those that exist."
            )
        return refused(refusal.event)
