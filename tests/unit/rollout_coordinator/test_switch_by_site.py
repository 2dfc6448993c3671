"""Blue-green by site: who never held green was counted when all had staged, and halts no site alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, RolloutState, Strategy
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import activated, after, robot, staged, summary

POLICY = replace(scenes.POLICY, bake_s=0, switch_lead_s=0, min_success_percent=60)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_the_sites_of_those_that_hold_green_switch_one_after_the_other(lost: int) -> None:
    rollout = scenes.started(1, 1, 1, policy=POLICY, strategy=Strategy.BLUE_GREEN)
    others = [number for number in (1, 2, 3) if number != lost]
    rollout = after(rollout, *((staged(number), 1.0) for number in others), (Tick(), 61.0))
    assert rollout.robots[robot(lost)].phase is RobotPhase.UNKNOWN
    assert not rollout.staging
    seconds = 62.0
    while rollout.state is RolloutState.RUNNING and seconds < 200:
        rollout = after(rollout, (Tick(), seconds))
        for number in others:
            if rollout.robots[robot(number)].phase is RobotPhase.TARGETED:
                rollout = after(rollout, (activated(number, 6), seconds))
            rollout = after(rollout, (summary(number, seconds), seconds))
        seconds += 1
    assert rollout.state is RolloutState.SUCCEEDED, rollout.reason
    assert {rollout.robots[robot(number)].phase for number in others} == {RobotPhase.PROVED}
