"""What a rollout announces: facts in the past tense, each written with the decision it tells of."""

from __future__ import annotations

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, ModelRef, RobotId, RolloutId
from fleetward.contracts.members import Member
from fleetward.contracts.registry import Variant
from fleetward.contracts.rollouts import RolloutState, Strategy


class RolloutStarted(Event, frozen=True, kw_only=True):
    """A rollout exists: so many robots in so many waves."""

    rollout_id: RolloutId
    model: ModelRef
    digest: Digest
    variants: tuple[Variant, ...] = ()
    together: tuple[Member, ...] = ()
    strategy: Strategy
    wave_sizes: tuple[int, ...]
    started_at: UtcTime


class WaveStarted(Event, frozen=True, kw_only=True):
    """The robots of one wave are being given the new model."""

    rollout_id: RolloutId
    wave: int
    robots: tuple[RobotId, ...]
    started_at: UtcTime


class RobotsJoined(Event, frozen=True, kw_only=True):
    """Robots that match a continuous rollout by now were added to its last wave."""

    rollout_id: RolloutId
    robots: tuple[RobotId, ...]
    joined_at: UtcTime


class WaveCompleted(Event, frozen=True, kw_only=True):
    """A wave proved the model and did well for its bake time."""

    rollout_id: RolloutId
    wave: int
    proved: int
    unknown: int
    failed: int
    completed_at: UtcTime


class RolloutPaused(Event, frozen=True, kw_only=True):
    """No further robot gets the model until somebody resumes; evidence is still judged."""

    rollout_id: RolloutId
    reason: str
    paused_at: UtcTime


class RolloutResumed(Event, frozen=True, kw_only=True):
    """A paused rollout goes on."""

    rollout_id: RolloutId
    resumed_at: UtcTime


class RolloutHalted(Event, frozen=True, kw_only=True):
    """The model did badly: robots that have it are being taken back."""

    rollout_id: RolloutId
    reason: str
    halted_at: UtcTime


class RolloutEnded(Event, frozen=True, kw_only=True):
    """A rollout reached a final state."""

    rollout_id: RolloutId
    state: RolloutState
    reason: str
    ended_at: UtcTime


class SwitchOrdered(Event, frozen=True, kw_only=True):
    """Every staged robot in ``robots`` switches to the new model at the same instant."""

    rollout_id: RolloutId
    robots: int
    switch_at: UtcTime
    ordered_at: UtcTime


class RolloutPromoted(Event, frozen=True, kw_only=True):
    """A person let the rollout go on before its bake or hold was over; thresholds bind all the same."""

    rollout_id: RolloutId
    wave: int
    to_all: bool
    by: str
    promoted_at: UtcTime


class RobotsRetried(Event, frozen=True, kw_only=True):
    """A person had robots that failed, or were unknown, given the model again."""

    rollout_id: RolloutId
    robots: int
    by: str
    retried_at: UtcTime


class RobotsSuperseded(Event, frozen=True, kw_only=True):
    """A newer rollout owns so many robots of this one from now on."""

    rollout_id: RolloutId
    by: RolloutId
    robots: int
    superseded_at: UtcTime


class RolloutReopened(Event, frozen=True, kw_only=True):
    """A rollout that had succeeded is taken back: a late regression, or a person's word."""

    rollout_id: RolloutId
    reason: str
    reopened_at: UtcTime
