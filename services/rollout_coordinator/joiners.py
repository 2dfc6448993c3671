"""Looks now and then who matches a continuous rollout by now, and writes that they joined."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from fleetward.bus.errors import ConflictError
from fleetward.bus.logs import log
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.surroundings import NOTHING_AROUND
from rollout_coordinator.advance import advance
from rollout_coordinator.decision_log import given
from rollout_coordinator.interest import Interest
from rollout_coordinator.joining import takes_joiners
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.planner import Planner

_logger = logging.getLogger(__name__)


class Joiners:
    """Any number of replicas may look; the compare-and-set lets a robot join once."""

    def __init__(
        self,
        ledger: RolloutLedger,
        planner: Planner,
        interest: Interest,
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self._interest = interest
        self._now = now

    async def look(self, rollout_id: RolloutId) -> None:
        """Take in who matches; a conflict leaves them to the next look. Raises BusError."""
        current = await self._ledger.load(rollout_id)
        if current is None or not takes_joiners(current.event):
            return
        opened = await self._ledger.opened()
        found, now = await self._planner.matched(current.event, opened), self._now()
        step = advance(current.event, found, now, now)
        if step.rollout is current.event:
            return
        robots = len(step.rollout.robots) - len(current.event.robots)
        try:
            on = given([(found, now)], NOTHING_AROUND)
            await self._ledger.join(step, current, opened, now, on)
        except ConflictError as error:
            log(_logger, "join.lost", rollout=rollout_id, robots=robots, reason=str(error))
            return
        self._interest.note(step.rollout)
        log(_logger, "rollout.joined", rollout=rollout_id, robots=robots)
