"""Taking a model back: every robot that was given it returns to what it served before."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import may_return, parts
from fleetward.contracts.rollout_events import (
    RolloutEnded,
    RolloutHalted,
)
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutState,
    Strategy,
)
from fleetward.contracts.surroundings import Surroundings
from rollout_coordinator.admission import admitted_back
from rollout_coordinator.phases import Standing, everybody
from rollout_coordinator.set_orders import ordered_back, switching_together
from rollout_coordinator.step import Step, TargetOrder, with_robots
from rollout_coordinator.waves import with_withheld

_TO_REVERT = (
    RobotPhase.TARGETED,
    RobotPhase.STAGED,
    RobotPhase.PROVED,
    RobotPhase.FAILED,
    RobotPhase.UNKNOWN,
)


def halted(
    rollout: Rollout,
    reason: str,
    now: datetime,
    around: Surroundings,
    ends_as: RolloutState = RolloutState.REVERTED,
) -> Step:
    """Stop giving the model out and begin to take it back."""
    announced = RolloutHalted(rollout_id=rollout.rollout_id, reason=reason, halted_at=now)
    begun = Step(rollout=_reverting(rollout, reason, ends_as), events=(announced,))
    return begun.then(reverted_further(begun.rollout, now, around))


def discarded(rollout: Rollout, reason: str, now: datetime, around: Surroundings) -> Step:
    """A shadowed model did well: robots give it up again, and then the rollout has succeeded."""
    reverting = _reverting(rollout, reason, RolloutState.SUCCEEDED)
    return reverted_further(reverting, now, around)


def _reverting(rollout: Rollout, reason: str, ends_as: RolloutState) -> Rollout:
    return replace(
        rollout,
        state=RolloutState.REVERTING,
        reason=reason,
        ends_as=ends_as,
        baking_since=None,
        checkpoint="",
        checkpoint_since=None,
        gates={},
        withheld="",
        withheld_since=None,
    )


def reverted_further(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """Order the next robots back; end once every one has acknowledged the generation of its return.

    A robot that never had another model has nothing to return to and keeps its state.
    """
    stands = everybody(rollout)
    who = admitted_back(rollout, due_back(rollout, stands), around)
    step = sent_back(rollout, who.robots, now)
    moved = with_withheld(step.rollout, who.withheld, now)
    waits = bool(who.robots) or RobotPhase.REVERTING in stands.phases
    waits = waits or any(True for _ in due_back(rollout, stands))
    step = replace(step, rollout=moved)
    return step if waits else step.then(ended(moved, moved.ends_as, now))


def due_back(rollout: Rollout, stands: Standing) -> Iterator[RobotId]:
    """Who is still to be ordered back, looked at one by one: a step orders a bounded number."""
    to_revert = stands.of(*_TO_REVERT)
    return (robot for robot in to_revert if may_return(rollout.robots[robot]))


def sent_back(rollout: Rollout, robots: Collection[RobotId], now: datetime) -> Step:
    """Order these robots back, whatever else waits."""
    changed = {robot: _returning(rollout, rollout.robots[robot], now) for robot in robots}
    moved = with_robots(rollout, changed) if changed else rollout
    return Step(rollout=moved, targets=tuple(_order(moved, robot) for robot in robots))


def ended(rollout: Rollout, state: RolloutState, now: datetime, reason: str = "") -> Step:
    """The rollout reaches a final state; a success may stay open to later evidence."""
    watch_s = rollout.policy.watch_after_s
    is_watched = watch_s > 0 and state is RolloutState.SUCCEEDED
    is_watched = is_watched and rollout.strategy is not Strategy.SHADOW
    final = replace(
        rollout,
        state=state,
        reason=reason or rollout.reason,
        ended_at=now,
        baking_since=None,
        checkpoint="",
        checkpoint_since=None,
        gates={},
        request=None,
        watched_until=now + timedelta(seconds=watch_s) if is_watched else None,
    )
    announced = RolloutEnded(
        rollout_id=rollout.rollout_id, state=state, reason=final.reason, ended_at=now
    )
    return Step(rollout=final, events=(announced,))


def _returning(rollout: Rollout, progress: RobotProgress, now: datetime) -> RobotProgress:
    held = progress if progress.together is UNSET else ordered_back(rollout, progress)
    return replace(
        held,
        phase=RobotPhase.REVERTING,
        generation=held.generation + (held.previous_digest is not None),
        targeted_at=now,
        silent_at=None,
        held_at=UNSET,
    )


def _order(rollout: Rollout, robot: RobotId) -> TargetOrder:
    progress = rollout.robots[robot]
    if progress.together is UNSET:
        return _order_of(robot, progress)
    held = [each for _, each in parts(rollout, progress) if each.previous_digest is not None]
    return switching_together([_order_of(robot, each) for each in held])


def _order_of(robot: RobotId, progress: RobotProgress) -> TargetOrder:
    assert progress.previous is not None
    assert progress.previous_digest is not None
    return TargetOrder(
        robot_id=robot,
        generation=progress.generation,
        model=progress.previous,
        digest=progress.previous_digest,
    )
