"""Robots: who belongs to the fleet and what each reports, in the stream ROBOTS."""

from __future__ import annotations

from fleetward.contracts.receipts import SwapReceiptSigned
from fleetward.contracts.recordings import RecordingsRefused
from fleetward.contracts.robot_keys import RobotKeysChanged
from fleetward.contracts.robots import (
    CHECK_IN_S,
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
    RobotEnrolled,
)
from fleetward.contracts.rows import PEOPLE, EventRow, Principal, StreamName

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=RobotEnrolled,
        subject="robot.enrolled.v1.{robot_id}",
        producers=(_P.ENROLLER,),
        stream=_S.ROBOTS,
        rate="one per robot and change of labels",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, _P.COORDINATOR, _P.ALERTING, _P.ENROLLER, *PEOPLE),
        listeners=(_P.ALERTING, *PEOPLE),
    ),
    EventRow(
        event=RobotKeysChanged,
        subject="robot.keys_changed.v1.{robot_id}",
        producers=(_P.REGISTRY, _P.ENROLLER),
        stream=_S.ROBOTS,
        rate="two per robot and renewal of its credentials",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, _P.ENROLLER, *PEOPLE),
        listeners=(_P.ENROLLER,),
    ),
    EventRow(
        event=RobotCheckedIn,
        subject="robot.checked_in.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate=f"one per robot every {CHECK_IN_S:g} s and on every change",
        size_limit_bytes=16 * 1024,
        readers=(_P.REGISTRY, _P.COORDINATOR, _P.ALERTING, *PEOPLE),
        listeners=(_P.ALERTING, *PEOPLE),
    ),
    EventRow(
        event=ModelActivated,
        subject="robot.model_activated.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and rollout",
        size_limit_bytes=16 * 1024,
        readers=PEOPLE,
        listeners=PEOPLE,
        history=_S.HISTORY,
    ),
    EventRow(
        event=SwapReceiptSigned,
        subject="robot.swap_receipt_signed.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and rollout",
        size_limit_bytes=16 * 1024,
        readers=PEOPLE,
        listeners=PEOPLE,
        history=_S.HISTORY,
    ),
    EventRow(
        event=ModelStaged,
        subject="robot.model_staged.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and blue-green rollout",
        size_limit_bytes=16 * 1024,
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelShadowed,
        subject="robot.model_shadowed.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="one per robot and shadow rollout",
        size_limit_bytes=16 * 1024,
        listeners=PEOPLE,
    ),
    EventRow(
        event=ActivationFailed,
        subject="robot.activation_failed.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="rare",
        size_limit_bytes=16 * 1024,
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
    EventRow(
        event=ModelFellBack,
        subject="robot.model_fell_back.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="rare",
        size_limit_bytes=16 * 1024,
        readers=PEOPLE,
        listeners=PEOPLE,
        history=_S.HISTORY,
    ),
    EventRow(
        event=RecordingsRefused,
        subject="robot.recordings_refused.v1.{robot_id}",
        producers=(_P.ROBOT,),
        stream=_S.ROBOTS,
        rate="rare",
        size_limit_bytes=4 * 1024,
        readers=PEOPLE,
        listeners=PEOPLE,
    ),
)
