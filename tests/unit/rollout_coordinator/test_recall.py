"""What was served before is withdrawn while a rollout runs: who goes back to it, and who does not."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.control import ControlAction
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from rollout_coordinator.recall import without_return
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import OLD, after, checked_in, robot, told

GONE = scenes.withdrawn(OLD)
SEEN = replace(scenes.POLICY, hold_s=10)


def test_a_shadow_is_discarded_although_what_serves_was_withdrawn() -> None:
    rollout = scenes.started(1, policy=SEEN, strategy=Strategy.SHADOW)
    summary = scenes.summary(1, 3)
    baking = after(rollout, (GONE, 1), (scenes.shadowed(1), 2), (summary, 4), (Tick(), 5))
    discarding = told(baking, Tick(), 30)
    (order,) = discarding.targets
    assert (order.digest, discarding.rollout.state) == (OLD, RolloutState.REVERTING)
    again = told(discarding.rollout, GONE, 31).rollout
    assert again.robots[robot(1)].phase is RobotPhase.REVERTING
    ended = after(again, (checked_in(1, generation=6, digest=OLD), 32))
    assert ended.state is RolloutState.SUCCEEDED


def staging() -> Rollout:
    return after(scenes.started(1, strategy=Strategy.BLUE_GREEN), (GONE, 1))


def test_who_staged_gives_that_up_although_what_serves_was_withdrawn() -> None:
    aborted = told(staging(), scenes.asked(ControlAction.ABORT), 2)
    assert [order.digest for order in aborted.targets] == [OLD]


def test_who_switches_from_withdrawn_bytes_has_no_way_back_to_them() -> None:
    switching = told(staging(), scenes.staged(1), 2)
    (order,) = switching.targets
    assert (order.digest, order.fallback_digest) == (scenes.NEW, None)
    assert switching.rollout.robots[robot(1)].previous_digest is None
    halted = told(switching.rollout, scenes.failed(1, generation=6), 3)
    assert halted.targets == ()


def test_a_withdrawal_is_noted_once_and_takes_the_way_back_of_who_serves_the_model() -> None:
    rollout = staging()
    assert without_return(rollout, GONE) is rollout
    canary = after(scenes.started(1), (scenes.activated(1), 1), (GONE, 2))
    assert canary.robots[robot(1)].previous_digest is None
    assert canary.withdrawn == ()
