"""What must hold of every decision, whatever led to it."""

from __future__ import annotations

from msgspec import UNSET

from fleetward.contracts.control import AbortMode, ControlAction, RolloutControlRequested
from fleetward.contracts.gates import GateAnswered, RolloutApproved, Verdict
from fleetward.contracts.ids import RobotId
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.robots import TargetMode
from fleetward.contracts.rollout_events import RolloutReopened
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    WAITING_STATES,
    RobotPhase,
    Rollout,
    RolloutState,
    Strategy,
)
from fleetward.contracts.variants import digests, wanted
from rollout_coordinator.advance import Fact
from rollout_coordinator.step import Step, Superseded, counted, reached

_AWAITED = {RobotPhase.TARGETED, RobotPhase.UNKNOWN}
_BACK_OR_NEVER_GIVEN = {RobotPhase.REVERTED, RobotPhase.WAITING}
_GIVES_NO_MORE = FINAL_STATES | {RolloutState.REVERTING}
"""Here a withdrawal leads, and from here nothing leads back to where the model is given."""


def check(before: Rollout, fact: Fact, step: Step) -> None:
    """Raise AssertionError when a decision breaks a promise."""
    after = step.rollout
    _check_withdrawal(before, fact, after)
    if after is before:
        assert not step.targets, "a target that no state knows of"
        assert not step.events, "news of nothing"
        return
    for robot, progress in before.robots.items():
        assert after.robots[robot].variant == progress.variant, "a robot became of another variant"
        if progress.phase is RobotPhase.SUPERSEDED:
            assert after.robots[robot] is progress, "a robot that another rollout owns was touched"
    if before.state in FINAL_STATES:
        _check_after_end(before, fact, step)
        return
    if before.state in WAITING_STATES:
        _check_not_begun(before, step)
        return
    assert after.wave in {before.wave, before.wave + 1}, "a wave was skipped or taken back"
    check_targets(before, step)
    if _went_on(before, after):
        _check_thresholds(before, after)
        resumed = isinstance(fact, RolloutControlRequested) and fact.action is ControlAction.RESUME
        assert before.state is RolloutState.RUNNING or resumed, f"a {before.state} one went on"
    goes_on = after.state is RolloutState.RUNNING or after.ends_as is RolloutState.SUCCEEDED
    retried = isinstance(fact, RolloutControlRequested) and fact.action is ControlAction.RETRY
    if before.checkpoint and not after.checkpoint and goes_on and not retried:
        _check_gates(before, fact)
    if after.state is not before.state and before.state is RolloutState.REVERTING:
        _check_revert(before, after, fact)


def _check_withdrawal(before: Rollout, fact: Fact, after: Rollout) -> None:
    """What was withdrawn is never ordered again: only a running rollout orders its model."""
    if isinstance(fact, ModelWithdrawn) and fact.digest in digests(before):
        assert after.state in _GIVES_NO_MORE, f"a {after.state} one gives what was withdrawn"
    if before.state in _GIVES_NO_MORE:
        assert after.state in _GIVES_NO_MORE, f"a {before.state} one gives its model again"


def _check_after_end(before: Rollout, fact: Fact, step: Step) -> None:
    """Only a success that is watched, or that a person rolls back, is ever opened again."""
    is_rolled_back = isinstance(fact, RolloutControlRequested) and (
        fact.action is ControlAction.ROLLBACK and before.state is RolloutState.SUCCEEDED
    )
    if before.watched_until is None and not is_rolled_back:
        assert step.rollout is before
        assert not step.events
    if step.rollout.state is not before.state:
        assert isinstance(step.events[0], RolloutReopened)
    else:
        assert not step.targets
    for order in step.targets:
        was = before.robots[order.robot_id]
        if was.together is not UNSET:
            continue
        assert (order.digest, order.generation) == (was.previous_digest, was.generation + 1)


def _check_not_begun(before: Rollout, step: Step) -> None:
    """Nobody is given anything by a rollout that waits."""
    assert not step.targets
    assert step.rollout.state in {before.state, RolloutState.ABORTED, RolloutState.REFUSED}
    for robot, progress in step.rollout.robots.items():
        is_as_it_was = progress is before.robots[robot]
        assert is_as_it_was or progress.phase is RobotPhase.SUPERSEDED


def _went_on(before: Rollout, after: Rollout) -> bool:
    """Whether it passed what thresholds guard: a wave, the switch of a blue-green one, success."""
    did_well = after.ends_as is RolloutState.SUCCEEDED and before.ends_as is not after.ends_as
    ended_well = after.state is RolloutState.SUCCEEDED and before.ends_as is not after.state
    switches = before.staging and not after.staging
    return after.wave == before.wave + 1 or did_well or ended_well or switches


def _check_gates(before: Rollout, fact: Fact) -> None:
    """Beyond a checkpoint: every gate had passed, or did with this very word on this very plan."""
    for name, state in before.gates.items():
        if state.verdict is Verdict.PASSED:
            continue
        if isinstance(fact, RolloutApproved):
            assert fact.is_approved
            assert (fact.plan, fact.digest) == (before.plan, before.digest)
            assert fact.approved_by != before.requested_by
            assert fact.checkpoint == before.checkpoint
        else:
            assert isinstance(fact, GateAnswered)
            assert (fact.gate, fact.verdict) == (name, Verdict.PASSED)


def check_targets(before: Rollout, step: Step) -> None:
    """What must hold of the targets of a decision."""
    after = step.rollout
    ordered = [order.robot_id for order in step.targets]
    assert len(set(ordered)) == len(ordered), "two targets for one robot in one write"
    for order in step.targets:
        was, became = before.robots[order.robot_id], after.robots[order.robot_id]
        if was.together is not UNSET:
            continue  # models of a set have generations of their own: test_model_sets_check
        assert order.generation == became.generation == was.generation + 1
        given = wanted(before, was)
        assert order.digest in {given.digest, was.previous_digest}, "bytes of another kind of robot"
        if order.digest == given.digest:
            assert order.model == given.model
            assert order.robot_id in reached(after), "a robot beyond the current wave got the model"
            assert order.mode is mode_of(after), f"a {order.mode} target at this time"
            assert after.state is RolloutState.RUNNING, f"a {after.state} rollout sent its model"
    unordered = set(after.robots) - set(ordered)
    for robot in unordered:
        assert after.robots[robot].generation == before.robots[robot].generation


def _check_thresholds(before: Rollout, after: Rollout) -> None:
    """Both bind, over every robot that got the model so far; unknown is not proved."""
    robots = counted(after, reached(before))
    goal = RobotPhase.STAGED if before.staging else RobotPhase.PROVED
    # The last of them may arrive, and in the same decision be given what comes next.
    arrived = sum(_had_arrived(before, after, robot, goal) for robot in robots)
    failures = sum(after.robots[robot].phase is RobotPhase.FAILED for robot in robots)
    assert arrived * 100 >= before.policy.min_success_percent * len(robots)
    assert failures * 100 <= before.policy.max_error_percent * len(robots)


def _had_arrived(before: Rollout, after: Rollout, robot: RobotId, goal: RobotPhase) -> bool:
    was, became = before.robots[robot], after.robots[robot]
    given_more = became.generation == was.generation + 1
    return became.phase is goal or (given_more and was.phase in {goal, *_AWAITED})


def mode_of(rollout: Rollout) -> TargetMode:
    """What robots are to do with the model at this time."""
    if rollout.strategy is Strategy.SHADOW:
        return TargetMode.SHADOW
    return TargetMode.STAGE if rollout.staging else TargetMode.SERVE


def _check_revert(before: Rollout, after: Rollout, fact: Fact) -> None:
    """It ended because everybody is back, or because a person said: keep."""
    if isinstance(fact, RolloutControlRequested) and fact.abort is AbortMode.KEEP:
        assert after.state is RolloutState.ABORTED
        return
    if isinstance(fact, Superseded):
        assert after.state is RolloutState.ABORTED
        return
    assert after.state is before.ends_as
    for progress in after.robots.values():
        if progress.previous_digest is not None:
            assert progress.phase in _BACK_OR_NEVER_GIVEN
