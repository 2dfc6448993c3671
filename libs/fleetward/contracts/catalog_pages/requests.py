"""Every request: who asks, who answers with what, and within what time."""

from __future__ import annotations

from fleetward.contracts.catalog_pages import robot_requests
from fleetward.contracts.comparison import CompareVersions, VersionsCompared
from fleetward.contracts.decisions import ExplainRollout, RolloutExplained
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
    ModelWithdrawn,
    PreflightModel,
    PruneModels,
    RequireGates,
    ValidationReported,
    WithdrawModel,
)
from fleetward.contracts.quotes import QuoteUpdate, UpdateQuoted
from fleetward.contracts.recordings import (
    LinkRecording,
    RecordingLinked,
)
from fleetward.contracts.registry import (
    AliasMoved,
    ChunksListed,
    ListChunks,
    ModelRegistered,
    MoveAlias,
    RegisterModel,
)
from fleetward.contracts.repairs import CheckPacks, PacksChecked, PacksRepaired, RepairPacks
from fleetward.contracts.rollout_plans import PlanRollout, RolloutPlanned
from fleetward.contracts.rows import PEOPLE, Principal, RequestRow
from fleetward.contracts.segments import (
    LinkSegment,
    SegmentLinked,
)
from fleetward.contracts.telemetry import QueryTelemetry, TelemetryQueried
from fleetward.contracts.trust import PublishRoot, RootPublished

_P = Principal

REQUESTS: tuple[RequestRow, ...] = (
    *robot_requests.REQUESTS,
    RequestRow(
        request=ExplainRollout,
        reply=RolloutExplained,
        subject="rollout.explain.v1",
        responder=_P.COORDINATOR,
        callers=PEOPLE,
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
        request=QuoteUpdate,
        reply=UpdateQuoted,
        subject="model.quote_update.v1",
        responder=_P.REGISTRY,
        callers=PEOPLE,
        timeout_s=30.0,
    ),
    RequestRow(
        request=PlanRollout,
        reply=RolloutPlanned,
        subject="rollout.plan.v1",
        responder=_P.COORDINATOR,
        callers=PEOPLE,
        timeout_s=30.0,
    ),
    RequestRow(
        request=LinkRecording,
        reply=RecordingLinked,
        subject="recording.link.v1",
        responder=_P.REGISTRY,
        callers=PEOPLE,
    ),
    RequestRow(
        request=LinkSegment,
        reply=SegmentLinked,
        subject="segment.link.v1",
        responder=_P.REGISTRY,
        callers=PEOPLE,
    ),
    RequestRow(
        request=QueryTelemetry,
        reply=TelemetryQueried,
        subject="telemetry.query.v1",
        responder=_P.INGEST,
        callers=PEOPLE,
    ),
)
