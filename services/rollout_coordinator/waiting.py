"""A rollout that has not begun: it waits for its time, or for robots that belong to others.

Nobody was given anything. When it is due it is planned anew (``conflicts``), so that its waves are of
the fleet as it is then. Until then it may be aborted, and a withdrawn model ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.control import ControlAction, HeardWord, RolloutControlRequested
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.ownership import owners
from fleetward.contracts.places import held_by
from fleetward.contracts.rollouts import WAITING_STATES, Rollout, RolloutRequested, RolloutState
from rollout_coordinator.recall import recall_reason
from rollout_coordinator.revert import ended
from rollout_coordinator.step import Step, Superseded
from rollout_coordinator.superseding import superseded


def is_waiting(rollout: Rollout) -> bool:
    """Whether it is yet to begin."""
    return rollout.state in WAITING_STATES


def asked_by(waiting: Rollout) -> RolloutRequested:
    """What it is planned from when it is due."""
    assert waiting.request is not None, "a rollout that waits keeps what was asked for"
    return waiting.request


def is_due(rollout: Rollout, awaited: Sequence[Rollout], now: datetime) -> bool:
    """Whether it is worth planning anew: its time has come, or somebody owns its robots no more.

    ``awaited``: whom it waits for, as they stand; who is missing has ended.
    """
    if rollout.state is RolloutState.SCHEDULED:
        return rollout.begins_at is not None and now >= rollout.begins_at
    owned = owners(awaited)
    binding = {
        owned[held].rollout_id
        for robot, progress in rollout.robots.items()
        for held in held_by(rollout, robot, progress)
        if held in owned
    }
    return not binding.issuperset(rollout.waits_for)


def waited(rollout: Rollout, fact: object, now: datetime) -> Step:
    """What a fact changes before the rollout has begun; what robots say is not about it yet."""
    match fact:
        case RolloutControlRequested(action=ControlAction.ABORT):
            by = fact.requested_by or "somebody"
            word = HeardWord(word=fact.word, action=fact.action, by=by)
            reason = f"aborted by {by} before it began"
            return ended(replace(rollout, word=word), RolloutState.ABORTED, now, reason)
        case ModelWithdrawn() if reason := recall_reason(rollout, fact):
            return ended(rollout, RolloutState.REFUSED, now, reason)
        case Superseded():
            return superseded(rollout, fact, now)
        case _:
            return Step(rollout=rollout)


def given_up(rollout: Rollout, reason: str, now: datetime) -> Step:
    """Planned anew, it cannot begin any more."""
    return ended(rollout, RolloutState.REFUSED, now, reason)
