"""Every durable consumer: which service takes which events, and how long it may take."""

from __future__ import annotations

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.gates import GateAnswered, RolloutApproved
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
)
from fleetward.contracts.rollouts import RolloutRequested
from fleetward.contracts.rows import ConsumerRow, Principal, StreamName
from fleetward.contracts.telemetry import InferenceSummarized, TelemetryFrame

_P = Principal
_S = StreamName

COORDINATOR_ACK_WAIT_S = 10.0
"""What a coordinator that dies had taken comes again after so long: soon enough that whoever
asked for a rollout (30 s patient) still gets the answer, and longer than it takes to decide on what a
coordinator takes at once."""

COORDINATOR_ACK_PENDING = 8_000
"""Facts that the coordinators hold unanswered: those of one decision, and what comes meanwhile when a
large fleet switches at one instant."""

INGEST_ACK_WAIT_S = 10.0
"""Frames that an ingest had taken and died with come again well before the gap they leave in a
boot is skipped; a disk that is slower than this only gets duplicates, which it knows."""

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
        max_ack_pending=COORDINATOR_ACK_PENDING,
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
        max_ack_pending=COORDINATOR_ACK_PENDING,
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
