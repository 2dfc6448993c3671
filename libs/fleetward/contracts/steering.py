"""Why a rollout cannot do what a person asks of it: said before anything is asked, and again when heard."""

from __future__ import annotations

from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import may_return
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    WAITING_STATES,
    RobotPhase,
    Rollout,
    RolloutState,
    Strategy,
)

_ENDS_WITH_ITS_FIRST_WAVE = frozenset({Strategy.A_B, Strategy.SHADOW})


def why_not(
    rollout: Rollout,
    action: ControlAction,
    abort: AbortMode = AbortMode.REVERT,
    *,
    to_all: bool = False,
) -> str:
    """One sentence with what to do instead, or an empty string."""
    match action:
        case ControlAction.PAUSE | ControlAction.RESUME:
            return _not_begun(rollout) or _over(rollout, action) or _already(rollout, action)
        case ControlAction.ABORT:
            return _not_aborted(rollout, abort)
        case ControlAction.PROMOTE:
            return _not_promoted(rollout, to_all=to_all)
        case ControlAction.RETRY:
            return _not_retried(rollout)
        case ControlAction.FINISH:
            return _not_finished(rollout)
        case ControlAction.ROLLBACK:
            return _not_rolled_back(rollout)


def to_retry(rollout: Rollout) -> tuple[RobotId, ...]:
    """Robots that were given the model and failed, or were not heard to prove it."""
    return tuple(
        robot
        for robot, progress in rollout.robots.items()
        if progress.phase is RobotPhase.FAILED
        or (progress.phase is RobotPhase.UNKNOWN and progress.targeted_at is not None)
    )


def to_return(rollout: Rollout) -> tuple[RobotId, ...]:
    """Robots that had another model before, and were given this one."""
    untouched = {RobotPhase.WAITING, RobotPhase.REVERTED, RobotPhase.SUPERSEDED}
    return tuple(
        robot
        for robot, progress in rollout.robots.items()
        if may_return(progress) and progress.phase not in untouched
    )


def _over(rollout: Rollout, action: ControlAction) -> str:
    is_reverting = rollout.state is RolloutState.REVERTING
    if rollout.state not in FINAL_STATES and not is_reverting:
        return ""
    how = "is being taken back" if is_reverting else "has ended"
    reason = f" ({rollout.reason})" if rollout.reason else ""
    return (
        f"Rollout {rollout.rollout_id} {how}, {rollout.state.value}{reason}: "
        f"there is nothing left to {action.value}."
    )


def _already(rollout: Rollout, action: ControlAction) -> str:
    """Why there is nothing to pause in a paused rollout, or to resume in a running one."""
    done = RolloutState.PAUSED if action is ControlAction.PAUSE else RolloutState.RUNNING
    if rollout.state is not done:
        return ""
    reason = f" ({rollout.reason})" if rollout.reason else ""
    other = "resume" if action is ControlAction.PAUSE else "pause"
    return (
        f"Rollout {rollout.rollout_id} is {done.value} already{reason}; "
        f"`fleetward rollout {other} {rollout.rollout_id}` would change that."
    )


def _not_aborted(rollout: Rollout, abort: AbortMode) -> str:
    """A revert that is under way goes on and ends as it began; it may still be cut short."""
    if rollout.state is not RolloutState.REVERTING:
        return _over(rollout, ControlAction.ABORT)
    if abort is AbortMode.KEEP:
        return ""
    return (
        f"Rollout {rollout.rollout_id} is being taken back already ({rollout.reason}); "
        f"`fleetward rollout abort {rollout.rollout_id} --mode keep` ends it now and leaves its robots "
        "as they are."
    )


def _not_begun(rollout: Rollout) -> str:
    if rollout.state not in WAITING_STATES:
        return ""
    return (
        f"Rollout {rollout.rollout_id} is {rollout.state.value} and has not begun "
        f"({rollout.reason}); `fleetward rollout abort {rollout.rollout_id}` takes it off."
    )


def _not_promoted(rollout: Rollout, *, to_all: bool) -> str:
    problem = _not_begun(rollout) or _over(rollout, ControlAction.PROMOTE)
    if problem:
        return problem
    if rollout.state is RolloutState.PAUSED:
        return (
            f"Rollout {rollout.rollout_id} is paused ({rollout.reason}); "
            f"`fleetward rollout resume {rollout.rollout_id}` first, then promote it."
        )
    if rollout.checkpoint:
        return (
            f"Rollout {rollout.rollout_id} waits at its gates before {rollout.checkpoint}, and no "
            "promotion passes those; `fleetward rollout approve` does where people are asked."
        )
    if to_all and rollout.strategy in _ENDS_WITH_ITS_FIRST_WAVE:
        return (
            f"Rollout {rollout.rollout_id} is {rollout.strategy.value} and ends with the robots it has; "
            "start another rollout of the model for the others."
        )
    return ""


def _not_retried(rollout: Rollout) -> str:
    problem = _not_begun(rollout) or _over(rollout, ControlAction.RETRY)
    if problem:
        return problem
    if not to_retry(rollout):
        return (
            f"No robot of rollout {rollout.rollout_id} has failed or is unknown: nothing to retry."
        )
    return ""


def _not_finished(rollout: Rollout) -> str:
    problem = _not_begun(rollout) or _over(rollout, ControlAction.FINISH)
    if problem or rollout.is_continuous:
        return problem
    return f"Rollout {rollout.rollout_id} takes no joiners and ends by itself: nothing to finish."


def _not_rolled_back(rollout: Rollout) -> str:
    if rollout.state not in FINAL_STATES:
        return (
            f"Rollout {rollout.rollout_id} has not ended, it is {rollout.state.value}; "
            f"`fleetward rollout abort {rollout.rollout_id}` takes the model back."
        )
    if rollout.state is not RolloutState.SUCCEEDED:
        return (
            f"Rollout {rollout.rollout_id} did not succeed, it is {rollout.state.value} "
            f"({rollout.reason}): there is nothing to roll back."
        )
    if not to_return(rollout):
        return (
            f"No robot of rollout {rollout.rollout_id} can go back: none had another model before, "
            "or a newer rollout owns it."
        )
    return ""
