"""Rollouts: what was asked for and what they are, in the stream ROLLOUTS."""

from __future__ import annotations

from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.decisions import RolloutDecided
from fleetward.contracts.gates import GateAnswered, RolloutApproved
from fleetward.contracts.rollout_index import OpenRollouts, RolloutRefused
from fleetward.contracts.rollout_rows import RolloutCounted, RolloutProgress
from fleetward.contracts.rollouts import Rollout, RolloutRequested
from fleetward.contracts.rows import MIB, PEOPLE, EventRow, Principal, StreamName

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=RolloutRequested,
        subject="rollout.requested.v1.{rollout_id}",
        producers=PEOPLE,
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
        readers=(_P.COORDINATOR, *PEOPLE),
        listeners=(_P.COORDINATOR, *PEOPLE),
    ),
    EventRow(
        event=RolloutProgress,
        subject="rollout.progress.v1.{rollout_id}.{shard}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="as robots of a large rollout move",
        size_limit_bytes=1 * MIB,
        newest_only=True,
        readers=(_P.COORDINATOR, *PEOPLE),
    ),
    EventRow(
        event=RolloutCounted,
        subject="rollout.counted.v1.{rollout_id}.{shard}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per decision on telemetry of a large rollout and shard that it is of",
        size_limit_bytes=256 * 1024,
        newest_only=True,
        readers=(_P.COORDINATOR, *PEOPLE),
    ),
    EventRow(
        event=OpenRollouts,
        subject="rollout.open.v1",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="two per rollout",
        readers=(_P.COORDINATOR, *PEOPLE),
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
        readers=(_P.COORDINATOR, *PEOPLE),
        listeners=PEOPLE,
    ),
)
