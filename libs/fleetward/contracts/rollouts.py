"""A rollout: what was asked, what was decided, and where each robot stands."""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, ModelRef, ModelSelector, RobotId, RolloutId
from fleetward.contracts.sharding import Sharding

MAX_ROBOTS_PER_ROLLOUT = 10_000
MAX_OPEN_ROLLOUTS = 1_000
MAX_TARGETS_PER_STEP = 500
"""Targets one step may write; with state, its shards and events it stays below the server's 1,000
a batch."""


class Strategy(str, enum.Enum):
    """How a rollout reaches its robots."""

    CANARY = "canary"
    ALL_AT_ONCE = "all-at-once"


class AbortMode(str, enum.Enum):
    """What an abort does with robots that already have the new model."""

    KEEP = "keep"
    REVERT = "revert"


class ControlAction(str, enum.Enum):
    """What an operator may ask of a running rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


class RolloutPolicy(Struct, frozen=True, kw_only=True):
    """Every number a rollout is judged by. Percentages are of the whole selection."""

    wave_percents: tuple[int, ...] = (20, 50, 100)
    """Cumulative; the first wave is the canary. Each wave has at least one robot."""
    bake_s: float = 10.0
    """How long a wave must do well, after its last robot proved the model, before the next."""
    silent_after_s: float = 120.0
    """A targeted robot that has not proved the model by then counts as unknown."""
    min_success_percent: float = 95.0
    """A wave widens only when proved robots are at least this share (unknowns count against)."""
    max_error_percent: float = 0.0
    """A wave halts as soon as failed robots are more than this share."""
    latency_tolerance: float = 0.25
    """The new model may be this much slower than the control cohort, relatively."""
    confidence_tolerance: float = 0.10
    """The new model's mean confidence may fall this much below the control cohort's."""
    max_added_error_rate: float = 0.01
    """The new model may fail this much more often than the control cohort, absolutely."""
    alpha: float = 0.001
    """Chance that a good canary is ever condemned by a comparison, over the whole rollout."""
    min_inferences: int = 50
    """No comparison is made on fewer inferences in either cohort."""
    proof_inferences: int = 20
    health_window_s: float = 10.0
    byte_cap: int | None = None
    """The most bytes that each robot may move for the model, retries included."""


class RolloutState(str, enum.Enum):
    """Where a rollout stands. The last four are final."""

    RUNNING = "running"
    PAUSED = "paused"
    REVERTING = "reverting"
    SUCCEEDED = "succeeded"
    REVERTED = "reverted"
    ABORTED = "aborted"
    REFUSED = "refused"


FINAL_STATES = frozenset(
    {
        RolloutState.SUCCEEDED,
        RolloutState.REVERTED,
        RolloutState.ABORTED,
        RolloutState.REFUSED,
    }
)


class RobotPhase(str, enum.Enum):
    """Where one robot stands in one rollout."""

    WAITING = "waiting"
    TARGETED = "targeted"
    PROVED = "proved"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REVERTING = "reverting"
    REVERTED = "reverted"


class RobotProgress(Struct, frozen=True, kw_only=True):
    """One robot in one rollout. ``generation`` is that of its newest target from this rollout.

    ``silent_at``: when the server stored that the robot fell silent after its proof; None once it
    was heard again. Until then it is targeted, not proved, and unknown past the deadline.
    """

    phase: RobotPhase = RobotPhase.WAITING
    generation: int = 0
    previous: ModelRef | None = None
    previous_digest: Digest | None = None
    targeted_at: UtcTime | None = None
    proved_at: UtcTime | None = None
    silent_at: UtcTime | None = None
    reason: str = ""


class Moments(Struct, frozen=True, kw_only=True):
    """Running moments of one quantity: enough for a mean, a variance and a comparison."""

    count: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0


class CohortEvidence(Struct, frozen=True, kw_only=True):
    """What one cohort's robots reported since the wave began. Latency in ms."""

    inferences: int = 0
    errors: int = 0
    latency_ms: Moments = Moments()
    confidence: Moments = Moments()


class Evidence(Struct, frozen=True, kw_only=True):
    """Canary against concurrent control since the wave began.

    ``counted_until``: when each robot's last counted window began; a window that began no later
    is a copy or comes too late, and is not counted again.
    """

    canary: CohortEvidence = CohortEvidence()
    control: CohortEvidence = CohortEvidence()
    counted_until: dict[RobotId, UtcTime] = {}


class Rollout(Event, frozen=True, kw_only=True):
    """The whole state of one rollout: what is compared and set, and what people watch.

    The stored row of a rollout with ``sharding`` has neither waves nor robots nor what is counted
    of them: ``fleetward.bus.stored_rollouts`` reads it whole.
    """

    rollout_id: RolloutId
    model: ModelRef
    digest: Digest
    strategy: Strategy
    policy: RolloutPolicy
    waves: tuple[tuple[RobotId, ...], ...] = ()
    wave: int = 0
    state: RolloutState
    reason: str = ""
    robots: dict[RobotId, RobotProgress] = {}
    evidence: Evidence = Evidence()
    wave_started_at: UtcTime
    baking_since: UtcTime | None = None
    started_at: UtcTime
    ended_at: UtcTime | None = None
    ends_as: RolloutState = RolloutState.REVERTED
    """What a revert ends as: reverted when the model did badly, aborted when a person said so."""
    controlled_at: UtcTime | None = None
    """When the last obeyed control was stored; a copy of an older one is not obeyed again."""
    revision: int = 0
    traceparent: str = ""
    sharding: Sharding | None = None


class OpenRollouts(Event, frozen=True, kw_only=True):
    """Which rollouts have not ended: written with each start and end, compared and set.

    So nobody reads every rollout there ever was to find the few that matter, and no two that are
    planned at the same time can both believe that a robot is free.
    """

    rollouts: tuple[RolloutId, ...] = ()


class RolloutRequested(Event, frozen=True, kw_only=True):
    """Somebody, or a CI job, wants a model on the robots that a selector names.

    ``rollout_id`` is chosen by whoever asks and makes asking twice harmless.
    """

    rollout_id: RolloutId
    model: ModelSelector
    selector: str
    strategy: Strategy = Strategy.CANARY
    policy: RolloutPolicy = RolloutPolicy()
    requested_by: str = ""
    requested_at: UtcTime


class RolloutControlRequested(Event, frozen=True, kw_only=True):
    """An operator asked a rollout to pause, resume or abort."""

    rollout_id: RolloutId
    action: ControlAction
    abort: AbortMode = AbortMode.REVERT
    requested_by: str = ""
    requested_at: UtcTime


class RolloutRefused(Event, frozen=True, kw_only=True):
    """A request that cannot become a rollout: nothing was changed; the reason says what to do."""

    rollout_id: RolloutId
    reason: str
    refused_at: UtcTime


class RolloutStarted(Event, frozen=True, kw_only=True):
    """A rollout exists: so many robots in so many waves."""

    rollout_id: RolloutId
    model: ModelRef
    digest: Digest
    strategy: Strategy
    wave_sizes: tuple[int, ...]
    started_at: UtcTime


class WaveStarted(Event, frozen=True, kw_only=True):
    """The robots of one wave are being given the new model."""

    rollout_id: RolloutId
    wave: int
    robots: tuple[RobotId, ...]
    started_at: UtcTime


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
