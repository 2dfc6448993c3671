"""What follows at once on a decision, decided and signed while that one is being stored.

It is made on the very object that the decision leads to. Unless that is what stands in the end, it is
forgotten, and nothing of it was ever sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from fleetward.bus.errors import BusError
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.decision import Decision, decision_on
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.prepared import Prepared
from rollout_coordinator.sites import Sites
from rollout_coordinator.step import Tick


class Ahead:
    """One replica's; at most one for each rollout."""

    def __init__(self, ledger: RolloutLedger, sites: Sites, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._sites = sites
        self._now = now
        self._following: dict[RolloutId, Decision] = {}

    def take(self, rollout: Rollout) -> Decision | None:
        """What was decided on this very object; what was decided on another is forgotten."""
        following = self._following.pop(rollout.rollout_id, None)
        return following if following is not None and following.before is rollout else None

    async def look(self, storing: Prepared) -> None:
        """Decide what the passing of time brings once ``storing`` is stored, and make it ready."""
        try:
            following = await self._following_on(storing)
        except BusError:
            return  # it is decided once this is stored, and fails then
        if following is not None:
            self._following[storing.whole.rollout_id] = following

    async def _following_on(self, storing: Prepared) -> Decision | None:
        """None when it had to know how ``storing`` ends: which rows of sites stand, or targets."""
        now = self._now()
        decision = await decision_on(
            storing.whole, [(Tick(listening_since=now), now)], self._sites, now
        )
        given_now = {order.robot_id for order in storing.step.targets}
        robots = {order.robot_id for order in decision.step.targets}
        if decision.around.rows or not robots or not robots.isdisjoint(given_now):
            return None
        ready = await self._ledger.made_ready(
            decision.step, decision.before, decision.given(), now, storing
        )
        return replace(decision, ready=ready) if isinstance(ready, Prepared) else None
