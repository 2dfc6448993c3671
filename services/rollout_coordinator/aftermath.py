"""Success stays open to later evidence, for as long as the policy says; and may be taken back. Pure.

Read aloud: while a success is watched, a critical alert, a fall-back, another digest or silence past
the deadline counts as it did before. Past the thresholds the rollout is opened again and taken back.
The watch binds nobody: a newer rollout takes the robots it wants out of it.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rollout_events import RolloutReopened
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState
from fleetward.contracts.surroundings import Surroundings
from rollout_coordinator.halting import halt_reason
from rollout_coordinator.hearing import progressed
from rollout_coordinator.phases import standing
from rollout_coordinator.recall import recall_reason, without_return
from rollout_coordinator.revert import halted
from rollout_coordinator.robot_facts import ROBOT_FACTS
from rollout_coordinator.step import RobotTaken, Step, Tick, count, reached, with_robots
from rollout_coordinator.superseding import without
from rollout_coordinator.waves import with_silent


def reopened(rollout: Rollout, reason: str, now: datetime, around: Surroundings) -> Step:
    """A rollout that had succeeded is taken back."""
    again = replace(rollout, ended_at=None, watched_until=None, ends_as=RolloutState.REVERTED)
    announced = RolloutReopened(rollout_id=rollout.rollout_id, reason=reason, reopened_at=now)
    return Step(rollout=again, events=(announced,)).then(halted(again, reason, now, around))


def watched_on(
    rollout: Rollout, fact: object, stored_at: datetime, now: datetime, around: Surroundings
) -> Step:
    """What a fact changes about a success that is watched."""
    reason = recall_reason(rollout, fact) if isinstance(fact, ModelWithdrawn) else ""
    told = _told(rollout, fact, stored_at, now)
    reason = reason or (halt_reason(told, standing(told)) if told is not rollout else "")
    if reason:
        return reopened(told, f"{reason}, after it had succeeded", now, around)
    is_over = rollout.watched_until is not None and now >= rollout.watched_until
    if is_over and not count(told, reached(told), RobotPhase.TARGETED):
        return Step(rollout=replace(told, watched_until=None))
    return Step(rollout=told)


def _told(rollout: Rollout, fact: object, stored_at: datetime, now: datetime) -> Rollout:
    """The rollout with what was said written down; the same object when that changes nothing."""
    match fact:
        case Tick():
            return with_silent(rollout, fact, now)
        case ModelWithdrawn():
            return without_return(rollout, fact)
        case RobotTaken():
            return without(rollout, {fact.robot_id: f"{fact.by} gave it another target"})
        case _ if isinstance(fact, ROBOT_FACTS):
            progress = progressed(rollout, fact, stored_at)
            return with_robots(rollout, {fact.robot_id: progress}) if progress else rollout
        case _:
            return rollout
