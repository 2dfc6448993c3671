"""A rollout: what was asked, what was decided, and where each robot stands."""

from __future__ import annotations

import enum

from msgspec import UNSET, Struct, UnsetType

from fleetward.contracts.control import HeardWord, OnConflict
from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.evidence import Evidence, SignalGuard
from fleetward.contracts.gates import Gate, GateState
from fleetward.contracts.ids import (
    Digest,
    ModelName,
    ModelRef,
    ModelSelector,
    RobotId,
    RolloutId,
)
from fleetward.contracts.members import Member, SetProgress
from fleetward.contracts.registry import Variant
from fleetward.contracts.sharding import Sharding

MAX_ROBOTS_PER_ROLLOUT = 10_000
MAX_OPEN_ROLLOUTS = 1_000
MAX_TARGETS_PER_STEP = 500
"""Of one step: with state, its shards and events it stays below the server's 1,000 a batch."""


class Strategy(str, enum.Enum):
    """How a rollout reaches its robots.

    canary: wave by wave, each judged before the next. rolling: at most ``max_unavailable`` at a time.
    blue-green: everybody stages and warms up, then all switch at one instant. shadow: the model sees
    live frames and serves nobody. a-b: a part of the robots holds it for a time, then the verdict.
    """

    CANARY = "canary"
    ROLLING = "rolling"
    BLUE_GREEN = "blue-green"
    SHADOW = "shadow"
    A_B = "a-b"
    ALL_AT_ONCE = "all-at-once"


class SwitchScope(str, enum.Enum):
    """Who switches together in a blue-green rollout: everybody, or one site after the other."""

    FLEET = "fleet"
    SITE = "site"


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
    drift_tolerance: float | None = None
    """The mean of the model's output may move this many standard deviations of the control
    cohort's; None: not judged, since a better model may well answer otherwise."""
    signals: tuple[SignalGuard, ...] = ()
    """Further signals to judge by."""
    robot_spread: float = 0.1
    """How much robots of one site and hardware differ by themselves, relatively, as far as is known
    beforehand; what they are seen to differ by outweighs it once there are more than a few."""
    alpha: float = 0.001
    """Chance that a good canary is ever condemned by a comparison, over the whole rollout."""
    min_inferences: int = 50
    """No comparison is made on fewer inferences in either cohort. Alpha counts on means that settled: far
    below 30 a robot, where frame times vary much and robots are few, it does not hold (docs/adr/0008)."""
    proof_inferences: int = 20
    health_window_s: float = 10.0
    byte_cap: int | None = None
    """The most bytes that each robot may move for the model, retries included."""
    wave_counts: tuple[int, ...] = ()
    """Cumulative numbers of robots instead of percents; a last wave takes whoever is left."""
    wave_growth: float | None = None
    """Exponential waves instead of percents: one robot, then so many times as many as before."""
    max_unavailable: int = 1
    """Rolling: robots that may be on their way to the model at a time, over all sites."""
    max_unavailable_per_site: int = 1
    switch: SwitchScope = SwitchScope.FLEET
    switch_lead_s: float = 5.0
    """Blue-green: how far ahead the instant of the switch is agreed, so that everybody hears of it."""
    split_percent: int = 50
    """A/B: the share of robots that holds the new model; the others are the control cohort."""
    hold_s: float = 3600.0
    """Shadow and A/B: for how long evidence is gathered before the verdict."""
    max_divergence: float | None = None
    """Shadow: the most that each output may differ from the serving model's, in ranges; each can be compared."""
    interlocks: tuple[str, ...] = ()
    """What must hold on the robot at the instant of its swap, as ``docked``, ``battery>=0.3``, ``idle``."""
    gates: tuple[Gate, ...] = ()
    """Who must agree before the rollout begins, widens, switches or ends."""
    joiners_per_minute: float = 6.0
    """Continuous: how many robots that match later may join in a minute."""
    stalled_after_s: float = 3600.0
    """A rollout that may not go on for so long (a floor, a gate, an interlock) pauses and asks."""
    on_conflict: OnConflict = OnConflict.REFUSE
    """Robots of another rollout: be refused, wait until they are free, or take them over."""
    watch_after_s: float = 0.0
    """For how long a success is open to later evidence. Off unless asked for: silence counts too, and
    robots that are switched off at night would take a good model back."""


class RolloutState(str, enum.Enum):
    """Where a rollout stands. The last four are final.

    scheduled: it begins at a time, and owns no robot until then. queued: its robots belong to others;
    it begins when they are free.
    """

    SCHEDULED = "scheduled"
    QUEUED = "queued"
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
WAITING_STATES = frozenset({RolloutState.SCHEDULED, RolloutState.QUEUED})
"""Nothing was given to anybody yet: it is planned anew when it begins."""


class RobotPhase(str, enum.Enum):
    """Where one robot stands in one rollout.

    staged: green is warm and waits for the switch. In a shadow rollout proved means that the model
    saw enough frames there, and reverting that it is being discarded. superseded: a newer rollout
    owns it; here it counts neither for nor against the model, and is never touched again.
    """

    WAITING = "waiting"
    TARGETED = "targeted"
    STAGED = "staged"
    PROVED = "proved"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REVERTING = "reverting"
    REVERTED = "reverted"
    SUPERSEDED = "superseded"


class RobotProgress(Struct, frozen=True, kw_only=True):
    """One robot in one rollout. ``generation`` is that of its newest target from this rollout.

    ``silent_at``: when the server stored that it fell silent after its proof; None once heard again.
    ``held_at``: since when it says that it may not swap yet; ``targeted_at`` moves on when it may.
    """

    phase: RobotPhase = RobotPhase.WAITING
    generation: int = 0
    previous: ModelRef | None = None
    previous_digest: Digest | None = None
    is_to_switch: bool = False
    """Blue-green: its newest target says to serve what it staged before."""
    site: str = ""
    """Its label ``site`` when the rollout was planned."""
    hardware: str = ""
    """Its label ``hw``, likewise."""
    variant: int | UnsetType = UNSET
    """Which of the rollout's ``variants`` it is given: settled when it came in, whatever it is labelled since."""
    pipelines: tuple[ModelName, ...] | UnsetType = UNSET
    """The models that have a pipeline of their own there, as it said when it came in; a rollout of another
    one changes the robot's own. Unset: it named none."""
    together: SetProgress | UnsetType = UNSET
    """Where its further models stand, in a rollout that has some."""
    targeted_at: UtcTime | None = None
    proved_at: UtcTime | None = None
    silent_at: UtcTime | None = None
    held_at: UtcTime | UnsetType = UNSET
    reason: str = ""


class Rollout(Event, frozen=True, kw_only=True):
    """The whole state of one rollout: what is compared and set, and what people watch.

    The stored row of a rollout with ``sharding`` has neither waves nor robots nor what is counted
    of them: ``fleetward.bus.stored_rollouts`` reads it whole.
    """

    rollout_id: RolloutId
    model: ModelRef
    digest: Digest
    """Of the model's bytes; with ``variants``: of the list of them, which no robot ever serves."""
    variants: tuple[Variant, ...] = ()
    """What each kind of robot is given, where not all are given the same."""
    together: tuple[Member, ...] = ()
    """The further models of a set: on each robot all of them switch at one instant, or none does."""
    strategy: Strategy
    policy: RolloutPolicy
    waves: tuple[tuple[RobotId, ...], ...] = ()
    wave: int = 0
    state: RolloutState
    reason: str = ""
    robots: dict[RobotId, RobotProgress] = {}
    evidence: Evidence = Evidence()
    wave_started_at: UtcTime
    staging: bool = False
    """Blue-green before the switch: every robot is given the model to stage, not to serve."""
    switch_at: UtcTime | None = None
    """The agreed instant of the newest switch, by the hub's clock."""
    withheld_since: UtcTime | None = None
    """Since when robots may not be given the model; None while a known time is waited for."""
    withheld: str = ""
    """Why they may not; empty when nobody waits so."""
    checkpoint: str = ""
    """Where it waits at gates, as ``start`` or ``wave 2``; empty where it does not."""
    checkpoint_since: UtcTime | None = None
    gates: dict[str, GateState] = {}
    """How the gates of that checkpoint stand, by name."""
    plan: str = ""
    """What approvals are of: the SHA-256 of robots, waves, policy and bytes; empty without gates."""
    withdrawn: tuple[Digest, ...] = ()
    """Bytes that robots serve on which shadow or stage the model; nobody switches back to them."""
    alerted_at: UtcTime | None = None
    """When the newest alert about the new model was stored; ``last_alert`` says which."""
    last_alert: str = ""
    requested_by: str = ""
    selector: str = ""
    is_continuous: bool = False
    """Robots that the selector names later join the last wave; it does not end until it is finished."""
    joined_at: UtcTime | None = None
    steady_since: UtcTime | None = None
    """Continuous: when everybody was last through; whose proof is older may fall silent."""
    baking_since: UtcTime | None = None
    started_at: UtcTime
    ended_at: UtcTime | None = None
    ends_as: RolloutState = RolloutState.REVERTED
    """What a revert ends as: reverted when the model did badly, aborted when a person said so."""
    controlled_at: UtcTime | None = None
    """When the last obeyed control was stored; a copy of an older one is not obeyed again."""
    word: HeardWord | None = None
    """The newest word of a person that this rollout heard."""
    is_promoted: bool = False
    """The wave need not bake any further; thresholds bind all the same."""
    request: RolloutRequested | None = None
    """What to plan anew, while it is scheduled or queued."""
    begins_at: UtcTime | None = None
    waits_for: tuple[RolloutId, ...] = ()
    """Whose robots a queued rollout waits for."""
    watched_until: UtcTime | None = None
    """Until when a success is judged on; None once it is over, or was never asked for."""
    revision: int = 0
    traceparent: str = ""
    sharding: Sharding | None = None


def is_open(rollout: Rollout) -> bool:
    """Whether facts still change it: it has not ended, or its success is being watched."""
    return rollout.state not in FINAL_STATES or rollout.watched_until is not None


class RolloutRequested(Event, frozen=True, kw_only=True):
    """Somebody, or a CI job, wants a model on the robots that a selector names.

    ``rollout_id`` is chosen by whoever asks and makes asking twice harmless.
    """

    rollout_id: RolloutId
    model: ModelSelector
    selector: str
    strategy: Strategy = Strategy.CANARY
    policy: RolloutPolicy = RolloutPolicy()
    is_continuous: bool = False
    """Whether robots that match later join too."""
    requested_by: str = ""
    requested_at: UtcTime
    begins_at: UtcTime | None = None
    """When it begins, planned anew by what is true then; None: at once."""
    again: bool = False
    """Also for robots that were given these bytes last: a retry."""
    together: tuple[ModelSelector, ...] = ()
    """Further models that switch together with ``model`` on each robot."""
