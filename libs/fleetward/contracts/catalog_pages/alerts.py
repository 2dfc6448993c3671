"""Alerts and dead letters: what went wrong, in the streams ALERTS and DEAD_LETTERS; and alert rules, in RULES."""

from __future__ import annotations

from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.rows import MIB, PEOPLE, EventRow, Principal, StreamName
from fleetward.contracts.rule_sets import MAX_RULE_SET_BYTES, RuleSetGaveWay, RuleSetSigned

_P = Principal
_S = StreamName

EVENTS: tuple[EventRow, ...] = (
    EventRow(
        event=AlertFired,
        subject="alert.fired.v1.{robot_id}.{alert}",
        producers=(_P.ALERTING, _P.APPLICATION),
        stream=_S.ALERTS,
        rate="rare",
        size_limit_bytes=16 * 1024,
        readers=(_P.ALERTING, *PEOPLE),
        listeners=PEOPLE,
    ),
    EventRow(
        event=AlertResolved,
        subject="alert.resolved.v1.{robot_id}.{alert}",
        producers=(_P.ALERTING, _P.APPLICATION),
        stream=_S.ALERTS,
        rate="rare",
        size_limit_bytes=4 * 1024,
        readers=(_P.ALERTING, *PEOPLE),
        listeners=PEOPLE,
    ),
    EventRow(
        event=AlertBecameUnknown,
        subject="alert.became_unknown.v1.{robot_id}.{alert}",
        producers=(_P.ALERTING,),
        stream=_S.ALERTS,
        rate="rare",
        size_limit_bytes=4 * 1024,
        readers=(_P.ALERTING, *PEOPLE),
        listeners=PEOPLE,
    ),
    EventRow(
        event=RuleSetSigned,
        subject="alert.rules.v1",
        producers=(_P.ALERTING,),
        stream=_S.RULES,
        rate="one per change of the rule files",
        size_limit_bytes=MAX_RULE_SET_BYTES,
        readers=(_P.ALERTING, _P.ROBOT, *PEOPLE),
        listeners=(_P.ROBOT,),
    ),
    EventRow(
        event=RuleSetGaveWay,
        subject="alert.rules_gave_way.v1",
        producers=(_P.ALERTING,),
        stream=_S.RULES,
        rate="never, when there is one alerting",
        size_limit_bytes=1024,
        readers=PEOPLE,
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
