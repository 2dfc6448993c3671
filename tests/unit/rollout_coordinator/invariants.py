"""What must hold of every decision, whatever led to it."""

from __future__ import annotations

from fleetward.contracts.rollouts import (
    FINAL_STATES,
    AbortMode,
    RobotPhase,
    Rollout,
    RolloutControlRequested,
    RolloutState,
)
from rollout_coordinator.advance import Fact
from rollout_coordinator.step import Step, reached

_BACK_OR_NEVER_GIVEN = {RobotPhase.REVERTED, RobotPhase.WAITING}


def check(before: Rollout, fact: Fact, step: Step) -> None:
    """Raise AssertionError when a decision breaks a promise."""
    after = step.rollout
    if before.state in FINAL_STATES:
        assert after is before
        assert not step.events
        assert not step.targets
        return
    assert after.wave in {before.wave, before.wave + 1}, "a wave was skipped or taken back"
    _check_targets(before, step)
    if after.wave == before.wave + 1 or after.state is RolloutState.SUCCEEDED:
        _check_thresholds(before, after)
    if after.state is not before.state and before.state is RolloutState.REVERTING:
        _check_revert(after, fact)


def _check_targets(before: Rollout, step: Step) -> None:
    after = step.rollout
    ordered = [order.robot_id for order in step.targets]
    assert len(set(ordered)) == len(ordered), "two targets for one robot in one write"
    for order in step.targets:
        was, became = before.robots[order.robot_id], after.robots[order.robot_id]
        assert order.robot_id in reached(after), "a robot beyond the current wave got a target"
        assert order.generation == became.generation == was.generation + 1
        if order.digest == after.digest:
            assert after.state is RolloutState.RUNNING, f"a {after.state} rollout sent its model"
    unordered = set(after.robots) - set(ordered)
    for robot in unordered:
        assert after.robots[robot].generation == before.robots[robot].generation


def _check_thresholds(before: Rollout, after: Rollout) -> None:
    """Both bind, over every robot that got the model so far; unknown is not proved."""
    robots = reached(before)
    phases = [after.robots[robot].phase for robot in robots]
    proved = sum(phase is RobotPhase.PROVED for phase in phases)
    failures = sum(phase is RobotPhase.FAILED for phase in phases)
    assert proved * 100 >= before.policy.min_success_percent * len(robots)
    assert failures * 100 <= before.policy.max_error_percent * len(robots)
    assert before.state is RolloutState.RUNNING, f"a {before.state} rollout went on"


def _check_revert(after: Rollout, fact: Fact) -> None:
    """It ended because everybody is back, or because a person said: keep."""
    if isinstance(fact, RolloutControlRequested) and fact.abort is AbortMode.KEEP:
        assert after.state is RolloutState.ABORTED
        return
    assert after.state in {RolloutState.REVERTED, RolloutState.ABORTED}
    for progress in after.robots.values():
        if progress.previous_digest is not None:
            assert progress.phase in _BACK_OR_NEVER_GIVEN
