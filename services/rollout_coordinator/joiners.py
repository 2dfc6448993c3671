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
from rollout_coordinator.joining import RobotsMatched, takes_joiners
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.opened import Opened
from rollout_coordinator.planner import Planner
from rollout_coordinator.turns import Turns

_logger = logging.getLogger(__name__)


class Joiners:
    """Any number of replicas may look; the compare-and-set lets a robot join once."""

    def __init__(
        self,
        ledger: RolloutLedger,
        planner: Planner,
        interest: Interest,
        turns: Turns,
        max_conflicts: int,
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self._interest = interest
        self._turns = turns
        self._max_conflicts = max_conflicts
        self._now = now

    async def look(self, rollout_id: RolloutId) -> None:
        """Take in who matches; whom others are faster than is left to the next look. Raises BusError.

        The fleet is read once: that the rollout hears of its robots meanwhile changes nobody's joining.
        """
        current = await self._ledger.load(rollout_id)
        if current is None or not takes_joiners(current.event):
            return
        opened = await self._ledger.opened()
        found = await self._planner.matched(current.event, opened)
        problem = ""
        async with self._turns.of(rollout_id):
            for _ in range(self._max_conflicts if found.robots else 0):
                try:
                    await self._join(rollout_id, found, opened)
                except ConflictError as error:
                    problem = str(error)
                    if await self._ledger.index() != opened.sequence:
                        break
                else:
                    return
        if problem:
            robots = len(found.robots)
            log(_logger, "join.lost", rollout=rollout_id, robots=robots, reason=problem)

    async def _join(self, rollout_id: RolloutId, found: RobotsMatched, opened: Opened) -> None:
        current, now = await self._ledger.load(rollout_id), self._now()
        if current is None:
            return
        step = advance(current.event, found, now, now)
        if step.rollout is current.event:
            return
        on = given([(found, now)], NOTHING_AROUND)
        await self._ledger.join(step, current, opened, now, on)
        self._interest.note(step.rollout)
        robots = len(step.rollout.robots) - len(current.event.robots)
        log(_logger, "rollout.joined", rollout=rollout_id, robots=robots)
