"""A robot's target and what the robot says about itself: desired and reported."""

from __future__ import annotations

import enum

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import BootId, Digest, ModelName, ModelRef, RobotId, RolloutId
from fleetward.contracts.rule_sets import RulesStanding

MAX_PIPELINES = 7
"""Models beside the robot's own one that it may serve at once: a target names them all."""
MAX_PLACES = MAX_PIPELINES + 1
"""With the bridge itself, which takes its own releases as a pipeline takes models."""
CHECK_IN_S = 5.0
"""A robot checks in at least so often, unless it is told otherwise."""


class RobotEnrolled(Event, frozen=True, kw_only=True):
    """A robot belongs to the fleet; labels answer selectors, ``lease_s`` defines silence."""

    robot_id: RobotId
    labels: dict[str, str] = {}
    enrolled_at: UtcTime
    lease_s: float = 5.0
    retired_at: UtcTime | None = None
    """Since then it no longer belongs to the fleet: nothing selects it, and its silence is no news."""
    public_key: str = ""
    """The public nkey of its credentials, which it signs receipts with; empty: not known."""
    key_expires_at: UtcTime | None = None
    """When these credentials end; None: never. What took their place since: ``RobotKeysChanged``."""


class TargetMode(str, enum.Enum):
    """What a robot does with its target's model.

    serve: stage, swap, prove. stage: fetch, warm up, report ModelStaged, and wait. shadow: stage, show
    it live frames beside the one that serves, report ModelShadowed, and go on until the next target.
    """

    SERVE = "serve"
    STAGE = "stage"
    SHADOW = "shadow"


class RobotTarget(Struct, frozen=True, kw_only=True):
    """What one robot shall serve. Level-triggered: only the newest generation matters.

    ``generation`` counts up per robot; a robot refuses an older one. ``fallback`` is the model
    the robot may return to by itself, signed in advance. ``robot_id`` binds it to one audience.
    """

    robot_id: RobotId
    generation: int
    rollout_id: RolloutId
    model: ModelRef
    digest: Digest
    fallback: ModelRef | None = None
    fallback_digest: Digest | None = None
    proof_inferences: int = 20
    """Good inferences the new model must serve before the robot may report it active."""
    health_window_s: float = 10.0
    """How long the previous model stays warm after the swap."""
    byte_cap: int | None = None
    """The most bytes the robot may move over the network for this model, retries included."""
    mode: TargetMode = TargetMode.SERVE
    """Only robots that said ``RobotCheckedIn.modes`` are given another: an old one would serve."""
    switch_at: UtcTime | None = None
    """Swap at this instant of the hub's clock; at once when it has passed or is not given."""
    interlocks: tuple[str, ...] = ()
    """What must hold at the instant of the swap; a robot that cannot tell does not swap."""
    together: tuple[ModelName, ...] = ()
    """The models of this target, its own among them, that switch at one instant, all or none. Each of
    them has an entry of the same rollout, issued at the same instant, that names the same."""
    beside: tuple[RobotTarget, ...] = ()
    """What it shall serve beside, one entry for each further model, with generations of their own and
    nothing beside them. A model that is named no more is left as it is."""
    issued_at: UtcTime

    @property
    def entries(self) -> tuple[RobotTarget, ...]:
        """What it says of each model: this one's, and those beside."""
        return (replace(self, beside=()), *(replace(each, beside=()) for each in self.beside))


class SignedTarget(Event, frozen=True, kw_only=True):
    """A target as signed bytes. payload: msgpack of RobotTarget; signature: Ed25519, 64 bytes.

    ``robot_id`` repeats the audience to fill in the subject; the signed copy is what counts.
    """

    robot_id: RobotId
    payload: bytes
    key_id: str
    signature: bytes
    traceparent: str = ""


class ModelActivated(Event, frozen=True, kw_only=True):
    """A robot proved that it serves this model: the digest its worker mapped, N good inferences."""

    robot_id: RobotId
    rollout_id: RolloutId
    generation: int
    model: ModelRef
    digest: Digest
    inferences: int
    swap_ms: float
    warm_up_ms: float
    bytes_fetched: int
    """Everything that moved for it, retries and attempts before a restart included."""
    bytes_planned: int = 0
    """What the first plan said would move."""
    fetch_remarks: tuple[str, ...] = ()
    """What went another way than planned, for people: a delta refused, a site cache gone past."""
    backend: str = ""
    """The runtime that serves it; empty where it was warm already, and from older bridges."""
    engine_key: str = ""
    """Which TensorRT engine, ``sha256:<hex>`` of all that it depends on; empty with other runtimes."""
    load_remarks: tuple[str, ...] = ()
    """How its engine came, what was refused on the way, why a better runtime was not taken."""
    switch_late_s: float | None = None
    """How long after the agreed instant it swapped, by the hub's clock as the robot knew it."""
    activated_at: UtcTime


class ModelStaged(Event, frozen=True, kw_only=True):
    """A robot holds this model warm in its green slot; another one serves."""

    robot_id: RobotId
    rollout_id: RolloutId
    generation: int
    model: ModelRef
    digest: Digest
    warm_up_ms: float
    bytes_fetched: int
    bytes_planned: int = 0
    clock_offset_s: float | None = None
    """The hub's clock minus the robot's, as the robot measured it; None: it could not."""
    staged_at: UtcTime


class ModelShadowed(Event, frozen=True, kw_only=True):
    """A model saw live frames on a robot beside the one that serves, and answered nobody.

    frames: compared ones. divergence: by output name, the mean absolute difference to what the
    serving model answered, relative to its range; empty where the outputs cannot be compared.
    latency_ms_mean is processor time: a shadow infers only while nobody else wants the processor.
    """

    robot_id: RobotId
    rollout_id: RolloutId
    generation: int
    model: ModelRef
    digest: Digest
    frames: int
    errors: int = 0
    divergence: dict[str, float] = {}
    incomparable: tuple[str, ...] = ()
    """Outputs that one of the two lacks, or that were of another shape or no numbers in some frame."""
    latency_ms_mean: float = 0.0
    serving_latency_ms_mean: float = 0.0
    shadowed_at: UtcTime


class ActivationStage(str, enum.Enum):
    """Where on the way to a new model a robot stood when it failed."""

    TARGET = "target"
    FETCH = "fetch"
    VERIFY = "verify"
    LOAD = "load"
    WARM_UP = "warm_up"
    SWAP = "swap"
    SHADOW = "shadow"
    PROOF = "proof"


class ActivationFailed(Event, frozen=True, kw_only=True):
    """A robot could not reach its target; what it served before, it serves still."""

    robot_id: RobotId
    rollout_id: RolloutId
    generation: int
    model: ModelRef
    stage: ActivationStage
    reason: str
    failed_at: UtcTime


class ModelFellBack(Event, frozen=True, kw_only=True):
    """After activation the new model did badly and the robot returned to the one before."""

    robot_id: RobotId
    rollout_id: RolloutId
    generation: int
    from_digest: Digest
    to_digest: Digest
    reason: str
    fell_back_at: UtcTime


class Fetching(Struct, frozen=True, kw_only=True):
    """A model on its way to a robot: bytes over the network, so far and in all."""

    model: ModelRef
    bytes_done: int
    bytes_total: int


class PipelineStanding(Struct, frozen=True, kw_only=True):
    """What the pipeline of one model does beside the robot's own: as in the check-in, for that model."""

    name: ModelName
    generation: int = 0
    active_model: ModelRef | None = None
    active_digest: Digest | None = None
    warm_digest: Digest | None = None
    staged_model: ModelRef | None = None
    shadow_model: ModelRef | None = None
    frames_captured: int = 0
    frames_served: int = 0
    frames_failed: int = 0
    frames_dropped: int = 0
    frames_reissued: int = 0
    bytes_fetched: int = 0
    fetching: Fetching | None = None
    held_back: str = ""


class RobotCheckedIn(Event, frozen=True, kw_only=True):
    """The truth: what this robot serves right now, counted since boot."""

    robot_id: RobotId
    boot_id: BootId
    sequence: int
    generation: int = 0
    active_model: ModelRef | None = None
    active_digest: Digest | None = None
    warm_digest: Digest | None = None
    staged_model: ModelRef | None = None
    """What it holds warm in its green slot, to serve when its target says so."""
    shadow_model: ModelRef | None = None
    """What sees its frames beside the model that serves, and answers nobody."""
    cached_digests: tuple[Digest, ...] = ()
    frames_captured: int = 0
    """Since its first model served: served, failed and dropped ones, and the few that are open."""
    frames_served: int = 0
    frames_failed: int = 0
    """The model answered them with an error."""
    frames_dropped: int = 0
    frames_reissued: int = 0
    bytes_fetched: int = 0
    fetching: Fetching | None = None
    modes: tuple[TargetMode, ...] = ()
    """What its bridge understands beside ``serve``; empty from bridges that know no modes."""
    held_back: str = ""
    """Why the robot does not swap although it could: interlocks that do not hold, or that preparing the
    model would disturb what the robot does."""
    pipelines: tuple[PipelineStanding, ...] = ()
    """The models that have a pipeline of their own, beside the one that all else here tells of."""
    facts: dict[str, bool | float | str] = {}
    """What its own program says of it, as ``battery`` or ``docked``; for selectors."""
    records: bool = False
    """Whether its flight recorder is on."""
    trust_version: int = 0
    """The newest timestamp metadata this robot follows; one that falls behind is held back."""
    credential_trouble: str = ""
    """Why it did not come to its next credentials, though it is time; it tries again."""
    rules: RulesStanding | None = None
    """By which alert rules it judges itself; None: by none, or its bridge is one that does not say."""
    extras: tuple[str, ...] = ()
    """Of the bridge, that its settings need: it takes no release without them. Empty: none, or not said."""
    checked_in_at: UtcTime

    @property
    def standings(self) -> tuple[RobotCheckedIn | PipelineStanding, ...]:
        """What it says of each pipeline, its own one first."""
        return (self, *self.pipelines)


class RobotNudged(Event, frozen=True, kw_only=True):
    """Wakes a robot: it means only 'look at your target now'."""

    robot_id: RobotId
