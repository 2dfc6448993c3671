"""A look for joiners that comes too late is not lost in silence."""

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
from tests.unit.rollout_coordinator.scenes import HERE, at
from tests.unit.rollout_coordinator.test_joining import matches, steady


class BeatenLedger:
    """Somebody else always writes first."""

    async def load(self, rollout_id: RolloutId) -> KeptRollout | None:
        return KeptRollout(steady(), 1)

    async def opened(self) -> Opened:
        return Opened((), 1)

    async def join(
        self, step: Step, current: KeptRollout, opened: Opened, now: datetime, on: Given
    ) -> list[RobotTaken]:
        raise ConflictError("the index moved")


class OneMatches:
    """A planner that finds one more robot."""

    async def matched(self, rollout: Rollout, opened: Opened) -> RobotsMatched:
        return matches(2)


async def test_a_join_that_another_write_beat_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger, planner = cast(RolloutLedger, BeatenLedger()), cast(Planner, OneMatches())
    interest = Interest()
    with caplog.at_level(logging.INFO):
        await Joiners(ledger, planner, interest, lambda: at(60)).look(HERE)
    (said,) = [record.msg for record in caplog.records if isinstance(record.msg, Said)]
    assert (said.event, said.fields["rollout"], said.fields["robots"]) == ("join.lost", HERE, 1)
    assert said.fields["reason"] == "the index moved"
    assert interest.open_rollouts() == ()
