"""Rollouts: what is told of them as it happens, in the stream ROLLOUTS."""

from __future__ import annotations

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
from fleetward.contracts.rows import MIB, PEOPLE, EventRow, Principal, StreamName

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=RolloutStarted,
        subject="rollout.started.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per rollout",
        listeners=PEOPLE,
    ),
    EventRow(
        event=WaveStarted,
        subject="rollout.wave_started.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per rollout",
        size_limit_bytes=1 * MIB,
        listeners=PEOPLE,
    ),
    EventRow(
        event=WaveCompleted,
        subject="rollout.wave_completed.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per rollout",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RolloutPaused,
        subject="rollout.paused.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RolloutResumed,
        subject="rollout.resumed.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RolloutHalted,
        subject="rollout.halted.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RobotsJoined,
        subject="rollout.robots_joined.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="a few per minute while robots join a continuous rollout",
        size_limit_bytes=1 * MIB,
        listeners=PEOPLE,
    ),
    EventRow(
        event=SwitchOrdered,
        subject="rollout.switch_ordered.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per switch of a blue-green rollout",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RolloutPromoted,
        subject="rollout.promoted.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RobotsRetried,
        subject="rollout.robots_retried.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RobotsSuperseded,
        subject="rollout.robots_superseded.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RolloutReopened,
        subject="rollout.reopened.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="rare",
        listeners=PEOPLE,
    ),
    EventRow(
        event=RolloutEnded,
        subject="rollout.ended.v1.{rollout_id}",
        producers=(_P.COORDINATOR,),
        stream=_S.ROLLOUTS,
        rate="one per rollout",
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
)
