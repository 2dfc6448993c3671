"""An operator's word: heard once and in order, obeyed or refused with a reason, never in silence. Pure.

Read aloud: a paused rollout goes no further, a resumed one does. An abort ends it, or takes the model
back. A promotion ends the bake of this wave at once, or gives the model to everybody who is left; both
thresholds and the comparison bind all the same. A retry gives the model again to robots that failed or
are unknown. A rollback opens a success again and takes it back.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.control import AbortMode, ControlAction, HeardWord, RolloutControlRequested
from fleetward.contracts.rollout_events import RobotsRetried, RolloutPromoted, RolloutResumed
from fleetward.contracts.rollouts import FINAL_STATES, Rollout, RolloutState
from fleetward.contracts.steering import to_retry, to_return, why_not
from fleetward.contracts.surroundings import Surroundings
from fleetward.contracts.wording import listed
from rollout_coordinator.aftermath import reopened
from rollout_coordinator.gates import asked_again, is_before_start, left
from rollout_coordinator.held import awaited_anew
from rollout_coordinator.pausing import paused
from rollout_coordinator.revert import ended, halted
from rollout_coordinator.step import Step, due_phase, with_robots
from rollout_coordinator.superseding import without

NEEDS_FLEET = frozenset({ControlAction.ROLLBACK})
"""What is decided by what robots were given since (``Surroundings.given_since``)."""


def controlled(
    rollout: Rollout,
    asked: RolloutControlRequested,
    stored_at: datetime,
    now: datetime,
    around: Surroundings,
) -> Step:
    """The word's effect; a copy of it is stored at the same instant, and has none.

    A rollout that ended hears nothing any more but that a success is to be rolled back.
    """
    may_return = asked.action is ControlAction.ROLLBACK and rollout.state is RolloutState.SUCCEEDED
    if rollout.state in FINAL_STATES and not may_return:
        return Step(rollout=rollout)
    if rollout.controlled_at is not None and stored_at <= rollout.controlled_at:
        return Step(rollout=rollout)
    refused = why_not(rollout, asked.action, asked.abort, to_all=asked.to_all)
    refused = refused or _newer(rollout, asked, around)
    by = asked.requested_by or "somebody"
    word = HeardWord(word=asked.word, action=asked.action, by=by, refused=refused)
    heard = replace(rollout, controlled_at=stored_at, word=word)
    return Step(rollout=heard) if refused else _obeyed(heard, asked, by, now, around)


def _obeyed(
    rollout: Rollout,
    asked: RolloutControlRequested,
    by: str,
    now: datetime,
    around: Surroundings,
) -> Step:
    match asked.action:
        case ControlAction.PAUSE:
            return paused(rollout, f"paused by {by}", now)
        case ControlAction.RESUME:
            return _resumed(rollout, now)
        case ControlAction.ABORT if asked.abort is AbortMode.KEEP:
            return ended(rollout, RolloutState.ABORTED, now, f"aborted by {by}, model kept")
        case ControlAction.ABORT:
            return halted(rollout, f"aborted by {by}", now, around, RolloutState.ABORTED)
        case ControlAction.FINISH:
            return Step(rollout=replace(rollout, is_continuous=False))
        case ControlAction.PROMOTE:
            return _promoted(rollout, by, now, to_all=asked.to_all)
        case ControlAction.RETRY:
            return _retried(rollout, by, now)
        case ControlAction.ROLLBACK:
            return reopened(
                without(rollout, around.given_since), f"rolled back by {by}", now, around
            )


def _resumed(rollout: Rollout, now: datetime) -> Step:
    running = asked_again(replace(rollout, state=RolloutState.RUNNING, reason=""))
    anew = awaited_anew(running, now)
    announced = RolloutResumed(rollout_id=rollout.rollout_id, resumed_at=now)
    return Step(rollout=anew, events=(announced,))


def _promoted(rollout: Rollout, by: str, now: datetime, *, to_all: bool) -> Step:
    """All further waves may become one; approvals were of other waves, and are asked for anew."""
    promoted = replace(rollout, is_promoted=True)
    further = rollout.waves[rollout.wave + 1 :]
    if to_all and len(further) > 1:
        rest = tuple(robot for wave in further for robot in wave)
        promoted = replace(promoted, waves=(*rollout.waves[: rollout.wave + 1], rest), plan="")
    announced = RolloutPromoted(
        rollout_id=rollout.rollout_id, wave=rollout.wave, to_all=to_all, by=by, promoted_at=now
    )
    return Step(rollout=promoted, events=(announced,))


def _retried(rollout: Rollout, by: str, now: datetime) -> Step:
    """They wait for the model again, as if it were their turn; the wave bakes anew.

    Gates that it waited at are asked anew, once the wave did well with them.
    """
    robots = to_retry(rollout)
    again = {
        robot: replace(rollout.robots[robot], phase=due_phase(rollout), silent_at=None, reason="")
        for robot in robots
    }
    announced = RobotsRetried(
        rollout_id=rollout.rollout_id, robots=len(robots), by=by, retried_at=now
    )
    anew = replace(with_robots(rollout, again), baking_since=None, is_promoted=False)
    beyond_start = anew.checkpoint and not is_before_start(anew)
    return Step(rollout=left(anew) if beyond_start else anew, events=(announced,))


def _newer(rollout: Rollout, asked: RolloutControlRequested, around: Surroundings) -> str:
    """Why a rollback would take something newer away, or an empty string."""
    returning = to_return(rollout)
    newer = [robot for robot in returning if robot in around.given_since]
    if asked.action is not ControlAction.ROLLBACK or not newer:
        return ""
    if asked.skip and len(newer) < len(returning):
        return ""
    left = "`--skip` leaves them as they are and takes back the others."
    return (
        f"Rollout {rollout.rollout_id} is not rolled back: {newer[0]} "
        f"{around.given_since[newer[0]]}. "
        f"Given something newer since: {listed(newer)}; "
        + (left if not asked.skip else "that is everybody who could go back.")
    )
