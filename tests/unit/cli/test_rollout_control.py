"""A rollout that ended is retried by naming its robots, as far as a selector can name them."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from msgspec.structs import replace

from fleetward.cli.rollout_control import NotSteerableError, retried
from fleetward.client import Fleet
from fleetward.contracts.ids import robot_id
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, RolloutState
from fleetward.contracts.selectors import MAX_SELECTOR_CHARACTERS
from tests.unit.cli.rollouts import rollout


class FleetOf:
    """A fleet of one rollout, which nobody may start another in."""

    def __init__(self, only: Rollout) -> None:
        self._only = only

    async def rollout(self, _: str) -> Rollout:
        """The only one."""
        return self._only


@pytest.mark.parametrize(
    ("state", "what_to_do"),
    [
        (
            RolloutState.SUCCEEDED,
            "take the model back with `fleetward rollout rollback r-1`, or roll",
        ),
        (RolloutState.ABORTED, "4096: roll another model out to them by a label, then start"),
    ],
)
def test_more_robots_than_a_selector_can_name_are_refused_with_the_limit_and_what_to_do(
    state: RolloutState, what_to_do: str
) -> None:
    failed = RobotProgress(phase=RobotPhase.FAILED)
    robots = {robot_id(f"arm-{number}"): failed for number in range(MAX_SELECTOR_CHARACTERS // 8)}
    ended = replace(rollout(state), robots=robots)
    with pytest.raises(NotSteerableError) as refused:
        asyncio.run(retried(cast("Fleet", FleetOf(ended)), "r-1"))
    assert "holds at most 4096" in str(refused.value)
    assert what_to_do in str(refused.value)
