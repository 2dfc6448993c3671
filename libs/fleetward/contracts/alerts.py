"""Alerts as facts: fired, resolved, or unknown because the robot fell silent."""

from __future__ import annotations

import enum

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import AlertName, Digest, RobotId

ROBOT_SILENT = AlertName("RobotSilent")
"""A robot was not heard from within its lease. Raised by itself; no rule may take the name."""


class Severity(str, enum.Enum):
    """How loud an alert is. A critical alert on a canary robot halts its rollout."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertFired(Event, frozen=True, kw_only=True):
    """A rule held on a robot for as long as its ``for`` asks.

    ``incident`` counts up per robot and alert: the same incident is never announced twice.
    ``digest`` is the model whose samples broke the rule, when the samples carried one.
    """

    robot_id: RobotId
    alert: AlertName
    incident: int
    severity: Severity
    value: float
    expression: str
    summary: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    digest: Digest | None = None
    pending_since: UtcTime
    fired_at: UtcTime


class AlertResolved(Event, frozen=True, kw_only=True):
    """The rule no longer holds, seen on fresh samples."""

    robot_id: RobotId
    alert: AlertName
    incident: int
    resolved_at: UtcTime


class AlertBecameUnknown(Event, frozen=True, kw_only=True):
    """The robot fell silent while this alert fired: nobody knows whether it still holds."""

    robot_id: RobotId
    alert: AlertName
    incident: int
    unknown_since: UtcTime
