"""Recordings of robots' last seconds: which are wanted and which are stored, in the stream RECORDINGS."""

from __future__ import annotations

from fleetward.contracts.recordings import RecordingRequested, RecordingStored
from fleetward.contracts.rows import PEOPLE, EventRow, Principal, StreamName

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=RecordingRequested,
        subject="robot.recording_requested.v1.{robot_id}",
        producers=(_P.ALERTING, *PEOPLE),
        stream=_S.RECORDINGS,
        rate="one per alert, and as often as people ask",
        size_limit_bytes=4 * 1024,
        readers=(_P.ROBOT, *PEOPLE),
        listeners=(_P.ROBOT,),
    ),
    EventRow(
        event=RecordingStored,
        subject="recording.stored.v1.{robot_id}.{recording_id}",
        producers=(_P.REGISTRY,),
        stream=_S.RECORDINGS,
        rate="one per recording that a robot sent",
        size_limit_bytes=4 * 1024,
        readers=(_P.REGISTRY, *PEOPLE),
        listeners=PEOPLE,
    ),
)
