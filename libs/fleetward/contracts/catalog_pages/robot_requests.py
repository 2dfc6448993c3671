"""What robots ask, each on a subject of its own, of whom, and within what time."""

from __future__ import annotations

from fleetward.contracts.engines import (
    EngineKept,
    EnginesFound,
    FindEngine,
    GrantEngine,
    KeepEngine,
)
from fleetward.contracts.recordings import (
    GrantUpload,
    KeepRecording,
    RecordingKept,
    UploadGranted,
)
from fleetward.contracts.registry import (
    FetchGranted,
    GrantFetch,
)
from fleetward.contracts.robot_keys import (
    ConfirmCredentials,
    CredentialsConfirmed,
    CredentialsRenewed,
    RenewCredentials,
)
from fleetward.contracts.rows import Principal, RequestRow
from fleetward.contracts.segments import (
    GrantSegment,
    KeepSegment,
    SegmentKept,
)
from fleetward.contracts.trust import RefreshTrust, TrustRefreshed

_P = Principal

REQUESTS: tuple[RequestRow, ...] = (
    RequestRow(
        request=RefreshTrust,
        reply=TrustRefreshed,
        subject="robot.refresh_trust.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=RenewCredentials,
        reply=CredentialsRenewed,
        subject="robot.renew_credentials.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=ConfirmCredentials,
        reply=CredentialsConfirmed,
        subject="robot.confirm_credentials.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=GrantFetch,
        reply=FetchGranted,
        subject="robot.grant_fetch.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=GrantUpload,
        reply=UploadGranted,
        subject="robot.grant_upload.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=KeepRecording,
        reply=RecordingKept,
        subject="robot.keep_recording.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
        timeout_s=60.0,
    ),
    RequestRow(
        request=GrantSegment,
        reply=UploadGranted,
        subject="robot.grant_segment.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=KeepSegment,
        reply=SegmentKept,
        subject="robot.keep_segment.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
        timeout_s=60.0,
    ),
    RequestRow(
        request=GrantEngine,
        reply=UploadGranted,
        subject="robot.grant_engine.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
    RequestRow(
        request=KeepEngine,
        reply=EngineKept,
        subject="robot.keep_engine.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
        timeout_s=60.0,
    ),
    RequestRow(
        request=FindEngine,
        reply=EnginesFound,
        subject="robot.find_engine.v1.{robot_id}",
        responder=_P.REGISTRY,
        callers=(_P.ROBOT,),
    ),
)
