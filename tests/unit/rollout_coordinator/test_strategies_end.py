"""How shadow and A/B rollouts end: by what was seen when they were held for their time."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from rollout_coordinator.halting import condemned_at_end
from rollout_coordinator.step import Tick
from rollout_coordinator.verdict import condemnation
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.cohorts import GOOD, Like, trial
from tests.unit.rollout_coordinator.scenes import activated, after, robot, shadowed, told

POLICY = replace(scenes.POLICY, hold_s=300, min_inferences=10)
ROBOTS = 4


def split_with_evidence(new: Like) -> Rollout:
    """Four robots have the new model, eight the old one, and both were seen for a minute."""
    (*_, evidence) = trial([new] * ROBOTS, [GOOD] * 2 * ROBOTS, POLICY).windows(60)
    rollout = scenes.started(ROBOTS, 2 * ROBOTS, policy=POLICY, strategy=Strategy.A_B)
    proofs = [(activated(number), 1.0) for number in range(1, ROBOTS + 1)]
    return replace(after(rollout, *proofs, (Tick(), 2)), evidence=evidence)


def test_a_worse_model_is_judged_when_the_split_was_held_and_not_before() -> None:
    held = split_with_evidence(Like(latency_ms=80))
    assert told(held, Tick(), 299).rollout.state is RolloutState.RUNNING
    ended = told(held, Tick(), 303).rollout
    assert ended.state is RolloutState.REVERTING
    assert "latency" in ended.reason or "inference" in ended.reason


def test_a_model_that_did_no_worse_keeps_its_share_and_no_more() -> None:
    ended = told(split_with_evidence(GOOD), Tick(), 303)
    assert ended.rollout.state is RolloutState.SUCCEEDED
    assert not ended.targets
    assert ended.rollout.robots[robot(ROBOTS + 1)].phase is RobotPhase.WAITING


def test_the_one_look_at_the_end_may_spend_all_of_alpha() -> None:
    """What a single look of a single wave condemns, barely, the look at the end does too."""

    def spent(latency_ms: float) -> tuple[bool, bool]:
        held = split_with_evidence(Like(latency_ms=latency_ms))
        look = replace(held.evidence, is_look=True, looks=1)
        once = replace(POLICY, alpha=2 * POLICY.alpha)
        return bool(condemnation(look, once, 1)), bool(condemned_at_end(held))

    both = [spent(20 + tenths) for tenths in range(0, 40, 4)]
    assert (True, True) in both
    assert (False, False) in both
    assert all(once is at_end for once, at_end in both)


def test_a_failure_ends_the_split_at_once() -> None:
    held = split_with_evidence(GOOD)
    assert told(held, scenes.fell_back(1), 10).rollout.state is RolloutState.REVERTING


def test_an_output_that_differs_too_much_in_the_shadow_takes_the_model_back() -> None:
    strict = replace(POLICY, max_divergence=0.05)
    rollout = scenes.started(2, policy=strict, strategy=Strategy.SHADOW)
    fine = told(rollout, shadowed(1, divergence=0.05), 1).rollout
    assert fine.robots[robot(1)].phase is RobotPhase.PROVED
    bad = told(fine, shadowed(2, divergence=0.06), 2).rollout
    assert bad.state is RolloutState.REVERTING
    assert "output boxes differs by 0.06 of its range" in bad.reason


def test_a_robot_that_serves_what_it_was_to_shadow_has_failed() -> None:
    rollout = scenes.started(2, policy=POLICY, strategy=Strategy.SHADOW)
    served = told(rollout, activated(1), 1).rollout
    assert served.robots[robot(1)].reason.startswith("it serves the model")
