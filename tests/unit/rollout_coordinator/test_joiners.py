"""Robots join a rollout that moves all the time, and a look that comes too late is told."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import cast

import pytest

from fleetward.bus.errors import ConflictError
from fleetward.bus.logs import Said
from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.contracts.decisions import Given
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.interest import Interest
from rollout_coordinator.joiners import Joiners
from rollout_coordinator.joining import RobotsMatched
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.opened import Opened
from rollout_coordinator.planner import Planner
from rollout_coordinator.step import RobotTaken, Step
from rollout_coordinator.turns import Turns
from tests.unit.rollout_coordinator.scenes import HERE, at
from tests.unit.rollout_coordinator.test_joining import matches, steady

LOOKS = 20


class BusyLedger:
    """The rollout moves before ``beaten`` writes; ``index_moves``: another one begins meanwhile."""

    def __init__(self, beaten: int, *, index_moves: bool = False) -> None:
        self.beaten = beaten
        self.index_moves = index_moves
        self.sequence = 1
        self.attempts = 0
        self.joined: list[Rollout] = []

    async def load(self, rollout_id: RolloutId) -> KeptRollout | None:
        return KeptRollout(steady(), self.sequence)

    async def index(self) -> int:
        return 2 if self.index_moves else 1

    async def opened(self) -> Opened:
        return Opened((), 1)

    async def join(
        self, step: Step, current: KeptRollout, opened: Opened, now: datetime, on: Given
    ) -> list[RobotTaken]:
        self.attempts += 1
        if self.beaten:
            self.beaten -= 1
            self.sequence += 1
        if current.sequence != self.sequence or self.index_moves:
            raise ConflictError("the rollout moved")
        self.joined.append(step.rollout)
        return []


class OneMatches:
    """A planner that finds one more robot, and reads the fleet for it."""

    def __init__(self) -> None:
        self.readings = 0

    async def matched(self, rollout: Rollout, opened: Opened) -> RobotsMatched:
        self.readings += 1
        return matches(2)


async def looked(ledger: BusyLedger) -> tuple[OneMatches, Interest]:
    planner, interest = OneMatches(), Interest()
    joiners = Joiners(
        cast(RolloutLedger, ledger),
        cast(Planner, planner),
        interest,
        Turns(),
        LOOKS,
        lambda: at(60),
    )
    await joiners.look(HERE)
    return planner, interest


async def test_a_robot_joins_a_rollout_that_moves_all_the_time_on_one_reading_of_the_fleet() -> (
    None
):
    ledger = BusyLedger(beaten=LOOKS - 1)
    planner, interest = await looked(ledger)
    assert (planner.readings, len(ledger.joined)) == (1, 1)
    assert interest.open_rollouts() == (HERE,)


async def test_a_join_that_another_write_beat_each_time_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        _, interest = await looked(BusyLedger(beaten=LOOKS))
    (said,) = [record.msg for record in caplog.records if isinstance(record.msg, Said)]
    assert (said.event, said.fields["rollout"], said.fields["robots"]) == ("join.lost", HERE, 1)
    assert said.fields["reason"] == "the rollout moved"
    assert interest.open_rollouts() == ()


async def test_nobody_joins_on_a_reading_from_before_another_rollout_began() -> None:
    ledger = BusyLedger(beaten=0, index_moves=True)
    await looked(ledger)
    assert (ledger.attempts, ledger.joined) == (1, [])
