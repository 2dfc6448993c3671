"""Engines that robots offer to their twins, in the stream ENGINES."""

from __future__ import annotations

from fleetward.contracts.engines import EngineOffered
from fleetward.contracts.rows import PEOPLE, EventRow, Principal, StreamName

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=EngineOffered,
        subject="engine.offered.v1.{engine}.{robot_id}",
        producers=(_P.REGISTRY,),
        stream=_S.ENGINES,
        rate="one per engine that a robot built for its twins: a few per model and hardware",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, *PEOPLE),
        listeners=PEOPLE,
    ),
)
