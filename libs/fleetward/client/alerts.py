"""Which alerts stand, and a program's own alerts beside those of the rules."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timezone

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.publish import publish
from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved, Severity
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.contracts.recordings import asked_by

_Key = tuple[RobotId, AlertName]


class AlertState(str, enum.Enum):
    """What is known of an incident now."""

    FIRING = "firing"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


class AlertStatus(Struct, frozen=True, kw_only=True):
    """The newest incident of one alert on one robot."""

    fired: AlertFired
    state: AlertState


async def statuses(connection: Client) -> list[AlertStatus]:
    """The newest incident of every alert that ever fired, the newest first."""
    fired = [value.event for value in await last_values(connection, AlertFired)]
    resolved = _incidents([value.event for value in await last_values(connection, AlertResolved)])
    unknown = _incidents(
        [value.event for value in await last_values(connection, AlertBecameUnknown)]
    )
    found = [AlertStatus(fired=alert, state=_state(alert, resolved, unknown)) for alert in fired]
    return sorted(found, key=lambda status: status.fired.fired_at, reverse=True)


async def raise_alert(
    connection: Client,
    robot: RobotId,
    alert: AlertName,
    *,
    value: float,
    expression: str,
    summary: str = "",
    severity: Severity = Severity.WARNING,
    labels: Mapping[str, str] | None = None,
) -> AlertFired:
    """Announce the next incident of a program's own alert; returns it once it is stored.

    As for any alert, the robot is asked for a recording of it.
    """
    standing = await last_value(connection, AlertFired, robot_id=robot, alert=alert)
    now = datetime.now(timezone.utc)
    fired = AlertFired(
        robot_id=robot,
        alert=alert,
        incident=standing.event.incident + 1 if standing else 1,
        severity=severity,
        value=value,
        expression=expression,
        summary=summary,
        labels=dict(labels or {}),
        pending_since=now,
        fired_at=now,
    )
    await publish(connection, fired, message_id=f"{alert}-{robot}-{fired.incident}")
    asked = asked_by(fired)
    await publish(connection, asked, message_id=f"recording-{asked.recording_id}")
    return fired


async def resolve_alert(connection: Client, fired: AlertFired) -> AlertResolved:
    """Announce that an own alert no longer holds."""
    resolved = AlertResolved(
        robot_id=fired.robot_id,
        alert=fired.alert,
        incident=fired.incident,
        resolved_at=datetime.now(timezone.utc),
    )
    message_id = f"{fired.alert}-{fired.robot_id}-{fired.incident}-resolved"
    await publish(connection, resolved, message_id=message_id)
    return resolved


def _incidents(events: list[AlertResolved] | list[AlertBecameUnknown]) -> dict[_Key, int]:
    return {(event.robot_id, event.alert): event.incident for event in events}


def _state(
    alert: AlertFired, resolved: Mapping[_Key, int], unknown: Mapping[_Key, int]
) -> AlertState:
    key = (alert.robot_id, alert.alert)
    if resolved.get(key, 0) >= alert.incident:
        return AlertState.RESOLVED
    if unknown.get(key, 0) >= alert.incident:
        return AlertState.UNKNOWN
    return AlertState.FIRING
