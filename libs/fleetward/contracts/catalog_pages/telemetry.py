"""Telemetry: samples and their summaries, in the streams TELEMETRY and HEALTH."""

from __future__ import annotations

from fleetward.contracts.rows import PEOPLE, EventRow, Principal, StreamName
from fleetward.contracts.telemetry import InferenceSummarized, TelemetryFrame, TelemetryStored

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=TelemetryFrame,
        subject="robot.telemetry.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.TELEMETRY,
        rate="4 per robot and second, 1 while it infers nothing",
        size_limit_bytes=256 * 1024,
        listeners=PEOPLE,
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
        listeners=PEOPLE,
    ),
)
