"""The one catalog: every subject, stream, consumer and request of Fleetward stands here once.

Streams, consumers, permissions, the AsyncAPI document and docs/events.md are generated from
it; a subject string anywhere else fails the check.
"""

from __future__ import annotations

from functools import lru_cache

from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved
from fleetward.contracts.comparison import CompareVersions, VersionsCompared
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.curation import ModelCard, ModelCuration, SignedWithdrawals
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.decisions import ExplainRollout, RolloutDecided, RolloutExplained
from fleetward.contracts.errors import UnknownEventError
from fleetward.contracts.event import Event
from fleetward.contracts.gates import GateAnswered, RolloutApproved
from fleetward.contracts.judgements import (
    ApproveModel,
    AttachReport,
    DeprecateModel,
    ExportGranted,
    ExportModel,
    GatesRequired,
    ModelApproved,
    ModelDeprecated,
    ModelPreflighted,
    ModelsPruned,
    ModelsRetired,
    ModelWithdrawn,
    PreflightModel,
    PruneModels,
    RequireGates,
    ValidationReported,
    WithdrawModel,
)
from fleetward.contracts.quotes import QuoteUpdate, UpdateQuoted
from fleetward.contracts.registry import (
    AliasMoved,
    ChunksListed,
    FetchGranted,
    GrantFetch,
    ListChunks,
    ModelPublished,
    ModelRecord,
    ModelRegistered,
    MoveAlias,
    RegisterModel,
)
from fleetward.contracts.repairs import CheckPacks, PacksChecked, PacksRepaired, RepairPacks
from fleetward.contracts.robots import (
    CHECK_IN_S,
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
    RobotEnrolled,
    RobotNudged,
    SignedTarget,
)
from fleetward.contracts.rollout_events import (
    RobotsJoined,
    RobotsRetried,
    RobotsSuperseded,
    RolloutEnded,
    RolloutHalted,
    RolloutPaused,
    RolloutPromoted,
    RolloutReopened,
    RolloutResumed,
    RolloutStarted,
    SwitchOrdered,
    WaveCompleted,
    WaveStarted,
)
from fleetward.contracts.rollout_plans import PlanRollout, RolloutPlanned
from fleetward.contracts.rollout_rows import RolloutCounted, RolloutProgress
from fleetward.contracts.rollouts import OpenRollouts, Rollout, RolloutRefused, RolloutRequested
from fleetward.contracts.rows import (
    ConsumerRow,
    EventRow,
    Principal,
    RequestRow,
    StreamName,
    StreamRow,
)
from fleetward.contracts.sites import SiteOccupancy, SitePolicySet
from fleetward.contracts.telemetry import (
    InferenceSummarized,
    QueryTelemetry,
    TelemetryFrame,
    TelemetryQueried,
    TelemetryStored,
)
from fleetward.contracts.trust import (
    PublishRoot,
    RefreshTrust,
    RoleSigned,
    RootPublished,
    TrustRefreshed,
)

DAY_S = 86_400.0
MIB = 1024 * 1024
GIB = 1024 * MIB

COORDINATOR_ACK_WAIT_S = 10.0
"""What a coordinator that dies had taken comes again after so long: soon enough that whoever
asked for a rollout (30 s patient) still gets the answer, and longer than any decision takes."""

INGEST_ACK_WAIT_S = 10.0
"""Frames that an ingest had taken and died with come again well before the gap they leave in a
boot is skipped; a disk that is slower than this only gets duplicates, which it knows."""

_P = Principal
_S = StreamName
_PEOPLE = (_P.OPERATOR, _P.APPLICATION)

STREAMS: tuple[StreamRow, ...] = (
    StreamRow(
        name=_S.MODELS,
        meaning="what exists and may be trusted, and all that was ever decided about it",
        max_age_s=0,
        max_bytes=1 * GIB,
        max_msgs_per_subject=-1,
        atomic=True,
        refuse_when_full=True,
    ),
    StreamRow(
        name=_S.ROLLOUTS,
        meaning="rollouts, their events and every robot's target, written together",
        max_age_s=0,
        max_bytes=4 * GIB,
        max_msgs_per_subject=64,
        atomic=True,
    ),
    StreamRow(
        name=_S.ROBOTS,
        meaning="who belongs to the fleet and what each robot reports",
        max_age_s=0,
        max_bytes=2 * GIB,
        max_msgs_per_subject=64,
    ),
    StreamRow(
        name=_S.TELEMETRY,
        meaning="columnar samples on their way to disk",
        max_age_s=1 * DAY_S,
        max_bytes=8 * GIB,
        max_msgs_per_subject=-1,
        persist_async=True,
    ),
    StreamRow(
        name=_S.HEALTH,
        meaning="summaries of telemetry that rollouts are judged by",
        max_age_s=7 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=-1,
    ),
    StreamRow(
        name=_S.ALERTS,
        meaning="alerts fired, resolved, unknown",
        max_age_s=90 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=64,
    ),
    StreamRow(
        name=_S.DEAD_LETTERS,
        meaning="messages no handler could take",
        max_age_s=90 * DAY_S,
        max_bytes=1 * GIB,
        max_msgs_per_subject=-1,
    ),
    StreamRow(
        name=_S.HISTORY,
        meaning="what served on which robot, copied by the server and kept for years",
        max_age_s=0,
        max_bytes=2 * GIB,
        max_msgs_per_subject=10_000,
        copies_from=_S.ROBOTS,
    ),
)

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=ModelRecord,
        subject="model.record.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per publish or alias move",
        size_limit_bytes=4 * MIB,
        readers=(_P.REGISTRY, _P.COORDINATOR, *_PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=ModelPublished,
        subject="model.published.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per version",
        readers=_PEOPLE,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=AliasMoved,
        subject="model.alias_moved.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="a few per model and week",
        readers=_PEOPLE,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelCuration,
        subject="model.curation.v1.{name}.{release}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per version and whatever is said of it",
        readers=(_P.REGISTRY, *_PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=ModelCard,
        subject="model.card.v1.{name}.{release}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per version that has one",
        size_limit_bytes=256 * 1024,
        readers=(_P.REGISTRY, *_PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=SignedWithdrawals,
        subject="model.withdrawals.v1",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per withdrawal",
        size_limit_bytes=2 * MIB,
        readers=(_P.REGISTRY, _P.COORDINATOR, _P.ROBOT, *_PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=ModelDeprecated,
        subject="model.deprecated.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelWithdrawn,
        subject="model.withdrawn.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelPreflighted,
        subject="model.preflighted.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one or two per version",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ValidationReported,
        subject="model.validation_reported.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="a few per version",
        readers=_PEOPLE,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelApproved,
        subject="model.approved.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="a few per version",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=GatesRequired,
        subject="model.gates_required.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelsRetired,
        subject="model.retired.v1.{name}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RootPublished,
        subject="trust.root_published.v1.{version}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="one per rotation of keys",
        readers=(_P.REGISTRY, _P.ENROLLER, _P.OPERATOR),
        listeners=(_P.OPERATOR,),
    ),
    EventRow(
        event=RoleSigned,
        subject="trust.role_signed.v1.{role}",
        producers=(_P.REGISTRY,),
        stream=_S.MODELS,
        rate="three per publish, and one timestamp every 10 minutes",
        size_limit_bytes=1 * MIB,
        readers=(_P.REGISTRY, _P.ENROLLER, _P.OPERATOR),
        newest_only=True,
    ),
    EventRow(
        event=RolloutRequested,
        subject="rollout.requested.v1.{rollout_id}",
        producers=_PEOPLE,
        stream=_S.ROLLOUTS,
        rate="a few per hour",
    ),
    EventRow(
        event=RolloutControlRequested,
        subject="rollout.control_requested.v1.{rollout_id}",
        producers=(_P.OPERATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per rollout",
    ),
    EventRow(
        event=RolloutApproved,
        subject="rollout.approved.v1.{rollout_id}",
        producers=(_P.OPERATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per rollout that has gates",
        readers=(_P.OPERATOR,),
    ),
    EventRow(
        event=GateAnswered,
        subject="rollout.gate_answered.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per question to a web service",
        readers=(_P.OPERATOR,),
    ),
    EventRow(
        event=Rollout,
        subject="rollout.state.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per decision",
        size_limit_bytes=1 * MIB,
        readers=(_P.COORDINATOR, *_PEOPLE),
        listeners=(_P.COORDINATOR, *_PEOPLE),
    ),
    EventRow(
        event=RolloutProgress,
        subject="rollout.progress.v1.{rollout_id}.{shard}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="as robots of a large rollout move",
        size_limit_bytes=1 * MIB,
        newest_only=True,
        readers=(_P.COORDINATOR, *_PEOPLE),
    ),
    EventRow(
        event=RolloutCounted,
        subject="rollout.counted.v1.{rollout_id}.{shard}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per decision on telemetry of a large rollout and shard that it is of",
        size_limit_bytes=256 * 1024,
        newest_only=True,
        readers=(_P.COORDINATOR, *_PEOPLE),
    ),
    EventRow(
        event=OpenRollouts,
        subject="rollout.open.v1",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="two per rollout",
        readers=(_P.COORDINATOR, *_PEOPLE),
    ),
    EventRow(
        event=RolloutDecided,
        subject="rollout.decided.v1.{rollout_id}.{slot}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per decision",
        size_limit_bytes=4 * MIB,
        readers=(_P.COORDINATOR,),
        newest_only=True,
    ),
    EventRow(
        event=RolloutRefused,
        subject="rollout.refused.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        readers=(_P.COORDINATOR, *_PEOPLE),
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutStarted,
        subject="rollout.started.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per rollout",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=WaveStarted,
        subject="rollout.wave_started.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per rollout",
        size_limit_bytes=1 * MIB,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=WaveCompleted,
        subject="rollout.wave_completed.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per rollout",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutPaused,
        subject="rollout.paused.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutResumed,
        subject="rollout.resumed.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutHalted,
        subject="rollout.halted.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RobotsJoined,
        subject="rollout.robots_joined.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per minute while robots join a continuous rollout",
        size_limit_bytes=1 * MIB,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=SwitchOrdered,
        subject="rollout.switch_ordered.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per switch of a blue-green rollout",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutPromoted,
        subject="rollout.promoted.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RobotsRetried,
        subject="rollout.robots_retried.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RobotsSuperseded,
        subject="rollout.robots_superseded.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutReopened,
        subject="rollout.reopened.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=_PEOPLE,
    ),
    EventRow(
        event=RolloutEnded,
        subject="rollout.ended.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per rollout",
        readers=_PEOPLE,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=SitePolicySet,
        subject="site.policy_set.v1.{site}",
        producers=(_P.OPERATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        size_limit_bytes=32 * 1024,
        readers=(_P.COORDINATOR, *_PEOPLE),
        listeners=(_P.COORDINATOR,),
    ),
    EventRow(
        event=SiteOccupancy,
        subject="site.occupancy.v1.{site}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="as robots of a site with a floor leave service and return to it",
        size_limit_bytes=1 * MIB,
        readers=(_P.COORDINATOR, *_PEOPLE),
        newest_only=True,
    ),
    EventRow(
        event=SignedTarget,
        subject="robot.target.v1.{robot_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one or two per robot and rollout",
        size_limit_bytes=16 * 1024,
        readers=(_P.COORDINATOR, _P.REGISTRY, _P.OPERATOR, _P.ROBOT),
    ),
    EventRow(
        event=RobotNudged,
        subject="robot.nudged.v1.{robot_id}",
        producers=(_P.COORDINATOR,),
        stream=None,
        rate="one per target",
        size_limit_bytes=1024,
        listeners=(_P.ROBOT,),
    ),
    EventRow(
        event=RobotEnrolled,
        subject="robot.enrolled.v1.{robot_id}",
        producers=(_P.ENROLLER,),
        stream=_S.ROBOTS,
        rate="one per robot and change of labels",
        size_limit_bytes=16 * 1024,
        readers=(_P.COORDINATOR, _P.ALERTING, _P.ENROLLER, *_PEOPLE),
        listeners=(_P.ALERTING, *_PEOPLE),
    ),
    EventRow(
        event=RobotCheckedIn,
        subject="robot.checked_in.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate=f"one per robot every {CHECK_IN_S:g} s and on every change",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, _P.COORDINATOR, _P.ALERTING, *_PEOPLE),
        listeners=(_P.ALERTING, *_PEOPLE),
    ),
    EventRow(
        event=ModelActivated,
        subject="robot.model_activated.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and rollout",
        size_limit_bytes=16 * 1024,
        readers=_PEOPLE,
        listeners=_PEOPLE,
        history=_S.HISTORY,
    ),
    EventRow(
        event=ModelStaged,
        subject="robot.model_staged.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and blue-green rollout",
        size_limit_bytes=16 * 1024,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelShadowed,
        subject="robot.model_shadowed.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and shadow rollout",
        size_limit_bytes=16 * 1024,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ActivationFailed,
        subject="robot.activation_failed.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="rare",
        size_limit_bytes=16 * 1024,
        readers=_PEOPLE,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=ModelFellBack,
        subject="robot.model_fell_back.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="rare",
        size_limit_bytes=16 * 1024,
        readers=_PEOPLE,
        listeners=_PEOPLE,
        history=_S.HISTORY,
    ),
    EventRow(
        event=TelemetryFrame,
        subject="robot.telemetry.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.TELEMETRY,
        rate="4 per robot and second",
        size_limit_bytes=256 * 1024,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=TelemetryStored,
        subject="telemetry.stored.v1.{robot_id}",
        producers=(_P.INGEST,),
        stream=None,
        rate="one per robot and second",
        size_limit_bytes=1024,
        listeners=(_P.ROBOT,),
    ),
    EventRow(
        event=InferenceSummarized,
        subject="telemetry.inference_summarized.v1.{robot_id}",
        producers=(_P.INGEST,),
        stream=_S.HEALTH,
        rate="one per robot and second while it infers",
        size_limit_bytes=4 * 1024,
        listeners=_PEOPLE,
    ),
    EventRow(
        event=AlertFired,
        subject="alert.fired.v1.{robot_id}.{alert}",
        producers=(_P.ALERTING, _P.APPLICATION),
        stream=_S.ALERTS,
        rate="rare",
        size_limit_bytes=16 * 1024,
        readers=(_P.ALERTING, *_PEOPLE),
        listeners=_PEOPLE,
    ),
    EventRow(
        event=AlertResolved,
        subject="alert.resolved.v1.{robot_id}.{alert}",
        producers=(_P.ALERTING, _P.APPLICATION),
        stream=_S.ALERTS,
        rate="rare",
        size_limit_bytes=4 * 1024,
        readers=(_P.ALERTING, *_PEOPLE),
        listeners=_PEOPLE,
    ),
    EventRow(
        event=AlertBecameUnknown,
        subject="alert.became_unknown.v1.{robot_id}.{alert}",
        producers=(_P.ALERTING,),
        stream=_S.ALERTS,
        rate="rare",
        size_limit_bytes=4 * 1024,
        readers=(_P.ALERTING, *_PEOPLE),
        listeners=_PEOPLE,
    ),
    EventRow(
        event=DeadLettered,
        subject="dlq.dead_lettered.v1.{stream}.{consumer}",
        producers=(_P.REGISTRY, _P.COORDINATOR, _P.INGEST, _P.ALERTING),
        stream=_S.DEAD_LETTERS,
        rate="never, when all is well",
        size_limit_bytes=8 * MIB,
        readers=(_P.OPERATOR,),
        listeners=(_P.OPERATOR,),
    ),
)

CONSUMERS: tuple[ConsumerRow, ...] = (
    ConsumerRow(
        durable="coordinator-requests",
        principal=_P.COORDINATOR,
        stream=_S.ROLLOUTS,
        events=(RolloutRequested, RolloutControlRequested, RolloutApproved, GateAnswered),
        ack_wait_s=COORDINATOR_ACK_WAIT_S,
    ),
    ConsumerRow(
        durable="coordinator-robots",
        principal=_P.COORDINATOR,
        stream=_S.ROBOTS,
        events=(
            RobotCheckedIn,
            ModelActivated,
            ModelStaged,
            ModelShadowed,
            ActivationFailed,
            ModelFellBack,
        ),
        ack_wait_s=COORDINATOR_ACK_WAIT_S,
    ),
    ConsumerRow(
        durable="coordinator-alerts",
        principal=_P.COORDINATOR,
        stream=_S.ALERTS,
        events=(AlertFired,),
        ack_wait_s=COORDINATOR_ACK_WAIT_S,
    ),
    ConsumerRow(
        durable="coordinator-health",
        principal=_P.COORDINATOR,
        stream=_S.HEALTH,
        events=(InferenceSummarized,),
        ack_wait_s=COORDINATOR_ACK_WAIT_S,
    ),
    ConsumerRow(
        durable="coordinator-withdrawals",
        principal=_P.COORDINATOR,
        stream=_S.MODELS,
        events=(ModelWithdrawn,),
        ack_wait_s=COORDINATOR_ACK_WAIT_S,
    ),
    ConsumerRow(
        durable="ingest-telemetry",
        principal=_P.INGEST,
        stream=_S.TELEMETRY,
        events=(TelemetryFrame,),
        ack_wait_s=INGEST_ACK_WAIT_S,
        max_ack_pending=20_000,
        max_deliver=-1,
    ),
    ConsumerRow(
        durable="alerting-telemetry",
        principal=_P.ALERTING,
        stream=_S.TELEMETRY,
        events=(TelemetryFrame,),
        max_ack_pending=20_000,
    ),
)

REQUESTS: tuple[RequestRow, ...] = (
    RequestRow(
        request=ExplainRollout,
        reply=RolloutExplained,
        subject="rollout.explain.v1",
        responder=_P.COORDINATOR,
        callers=_PEOPLE,
        timeout_s=60.0,
    ),
    RequestRow(
        request=ListChunks,
        reply=ChunksListed,
        subject="model.list_chunks.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=CheckPacks,
        reply=PacksChecked,
        subject="model.check_packs.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
        timeout_s=600.0,
    ),
    RequestRow(
        request=RepairPacks,
        reply=PacksRepaired,
        subject="model.repair_packs.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
        timeout_s=600.0,
    ),
    RequestRow(
        request=CompareVersions,
        reply=VersionsCompared,
        subject="model.compare.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=RegisterModel,
        reply=ModelRegistered,
        subject="model.register.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
        timeout_s=600.0,
    ),
    RequestRow(
        request=MoveAlias,
        reply=AliasMoved,
        subject="model.move_alias.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=DeprecateModel,
        reply=ModelDeprecated,
        subject="model.deprecate.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=WithdrawModel,
        reply=ModelWithdrawn,
        subject="model.withdraw.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=PreflightModel,
        reply=ModelPreflighted,
        subject="model.preflight.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
        timeout_s=900.0,
    ),
    RequestRow(
        request=AttachReport,
        reply=ValidationReported,
        subject="model.attach_report.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=ApproveModel,
        reply=ModelApproved,
        subject="model.approve.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=RequireGates,
        reply=GatesRequired,
        subject="model.require_gates.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=ExportModel,
        reply=ExportGranted,
        subject="model.export.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
    ),
    RequestRow(
        request=PruneModels,
        reply=ModelsPruned,
        subject="model.prune.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
        timeout_s=600.0,
    ),
    RequestRow(
        request=PublishRoot,
        reply=RootPublished,
        subject="trust.publish_root.v1",
        responder=_P.REGISTRY,
        callers=(_P.OPERATOR,),
        timeout_s=60.0,
    ),
    RequestRow(
        request=RefreshTrust,
        reply=TrustRefreshed,
        subject="robot.refresh_trust.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=QuoteUpdate,
        reply=UpdateQuoted,
        subject="model.quote_update.v1",
        responder=_P.REGISTRY,
        callers=_PEOPLE,
        timeout_s=30.0,
    ),
    RequestRow(
        request=PlanRollout,
        reply=RolloutPlanned,
        subject="rollout.plan.v1",
        responder=_P.COORDINATOR,
        callers=_PEOPLE,
        timeout_s=30.0,
    ),
    RequestRow(
        request=GrantFetch,
        reply=FetchGranted,
        subject="robot.grant_fetch.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=QueryTelemetry,
        reply=TelemetryQueried,
        subject="telemetry.query.v1",
        responder=_P.INGEST,
        callers=_PEOPLE,
    ),
)


@lru_cache(maxsize=4096)
def row_of(event: type[Event]) -> EventRow:
    """The row of an event's Struct; raises UnknownEventError."""
    for row in EVENTS:
        if row.event is event:
            return row
    raise UnknownEventError(
        f"{event.__name__} has no row in EVENTS; add one to contracts/catalog.py."
    )


@lru_cache(maxsize=4096)
def request_row_of(request: type[Event]) -> RequestRow:
    """The row of a request's Struct; raises UnknownEventError."""
    for row in REQUESTS:
        if row.request is request:
            return row
    raise UnknownEventError(
        f"{request.__name__} has no row in REQUESTS; add one to contracts/catalog.py."
    )


@lru_cache(maxsize=4096)
def row_of_subject(subject: str) -> EventRow:
    """The row whose subject a concrete one is an instance of; raises UnknownEventError."""
    kind = ".".join(subject.split(".")[:3])
    for row in EVENTS:
        if row.kind == kind:
            return row
    raise UnknownEventError(f"no row in EVENTS has the subject {subject}; it is not one of ours.")


def consumers_of(principal: Principal) -> tuple[ConsumerRow, ...]:
    """The durable consumers one principal pulls from."""
    return tuple(row for row in CONSUMERS if row.principal is principal)


def events_in(stream: StreamName) -> tuple[EventRow, ...]:
    """The rows kept in one stream."""
    return tuple(row for row in EVENTS if row.stream is stream)


def copied_to(stream: StreamName) -> tuple[EventRow, ...]:
    """The rows that one stream keeps copies of."""
    return tuple(row for row in EVENTS if row.history is stream)
