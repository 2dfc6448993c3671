"""What follows when a rollout did well so far: the next wave, the switch, success; or gates before it."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.gates import Checkpoint
from fleetward.contracts.model_sets import called
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from fleetward.contracts.surroundings import Surroundings
from fleetward.contracts.wording import how_many
from rollout_coordinator.gates import (
    awaited,
    checkpoint_of,
    gates_before,
    left,
    refusal,
    stopped,
)
from rollout_coordinator.pausing import paused, unless_stalled
from rollout_coordinator.revert import discarded, ended
from rollout_coordinator.step import Step, count, reached
from rollout_coordinator.waves import wave_started, with_withheld


def before(rollout: Rollout, checkpoint: Checkpoint, now: datetime, around: Surroundings) -> Step:
    """Go on, unless the policy has gates there."""
    if not gates_before(rollout, checkpoint):
        return _beyond(rollout, checkpoint, now, around)
    return at_checkpoint(stopped(rollout, checkpoint, now), now, around)


def at_checkpoint(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """Go on once every gate has passed; pause when one refused, or none answers for too long."""
    refused = refusal(rollout)
    if refused:
        return paused(rollout, refused, now)
    missing = awaited(rollout, now)
    if missing:
        return unless_stalled(with_withheld(rollout, missing, now), now)
    free = left(with_withheld(rollout, "", now))
    return _beyond(free, checkpoint_of(rollout), now, around)


def _beyond(rollout: Rollout, checkpoint: Checkpoint, now: datetime, around: Surroundings) -> Step:
    match checkpoint:
        case Checkpoint.START:
            return wave_started(rollout, 0, now, around)
        case Checkpoint.WAVE:
            return wave_started(rollout, rollout.wave + 1, now, around)
        case Checkpoint.SWITCH:
            return wave_started(replace(rollout, staging=False), 0, now, around)
        case Checkpoint.END:
            return _succeeded(rollout, now, around)


def _succeeded(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """Everybody who was to have the model did well with it; a shadowed one is discarded again."""
    proved = count(rollout, reached(rollout), RobotPhase.PROVED)
    if rollout.strategy is Strategy.SHADOW:
        reason = f"{called(rollout)} saw live frames on {how_many(proved, 'robot')} and did no worse there"
        return discarded(rollout, reason, now, around)
    robots = how_many(len(rollout.robots), "robot")
    reason = f"{proved} of {robots} proved {called(rollout)} and did well"
    return ended(rollout, RolloutState.SUCCEEDED, now, reason)
