"""Rolling: so many robots on their way at a time, and who is not heard again keeps its place."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from rollout_coordinator.step import Tick, count
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import activated, after, robot, told

POLICY = replace(scenes.POLICY, stalled_after_s=100)
ROBOTS = 5


def on_their_way(rollout: Rollout) -> int:
    return count(rollout, tuple(rollout.robots), RobotPhase.TARGETED)


def test_the_next_robot_is_given_the_model_when_one_proved_it() -> None:
    rollout = scenes.started(ROBOTS, policy=POLICY, strategy=Strategy.ROLLING)
    for number in range(1, ROBOTS + 1):
        assert on_their_way(rollout) == 1
        rollout = told(rollout, activated(number), number).rollout
    assert on_their_way(rollout) == 0


def test_as_many_as_the_policy_allows_are_on_their_way() -> None:
    policy = replace(POLICY, max_unavailable=3, max_unavailable_per_site=2)
    rollout = scenes.started(ROBOTS, policy=policy, strategy=Strategy.ROLLING)
    assert on_their_way(rollout) == 2, "all are of one site"


def test_a_robot_that_is_not_heard_again_holds_the_others_back_until_a_person_is_asked() -> None:
    rollout = scenes.started(ROBOTS, policy=POLICY, strategy=Strategy.ROLLING)
    lost = told(rollout, Tick(), 61).rollout
    assert lost.robots[robot(1)].phase is RobotPhase.UNKNOWN
    assert on_their_way(lost) == 0
    assert lost.withheld == ("r1 was not heard again, and 1 of at most 1 robot may be unavailable")
    assert told(lost, Tick(), 170).rollout.state is RolloutState.PAUSED
    heard = after(lost, (activated(1), 90))
    assert on_their_way(heard) == 1
