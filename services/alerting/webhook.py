"""An announcement in Alertmanager's webhook format, version 4, so that its receivers work here.

Format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from fleetward.contracts.alerts import AlertFired, AlertResolved
from fleetward.rules.incidents import Announcement

RECEIVER = "fleetward"
NOT_ENDED = "0001-01-01T00:00:00Z"

_FNV_OFFSET, _FNV_PRIME, _FNV_MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1


def webhook_body(announcement: Announcement) -> bytes | None:
    """The JSON to send, or None: to a receiver, unknown is neither firing nor resolved."""
    event = announcement.event
    match event:
        case AlertFired():
            return _body(announcement, "firing", NOT_ENDED)
        case AlertResolved():
            return _body(announcement, "resolved", _time(event.resolved_at))
        case _:
            return None


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus' identity of a label set: FNV-1a, 64 bits, of its sorted names and values."""
    value = _FNV_OFFSET
    for name, text in sorted(labels.items()):
        for byte in name.encode() + b"\xff" + text.encode() + b"\xff":
            value = ((value ^ byte) * _FNV_PRIME) & _FNV_MASK
    return f"{value:016x}"


def _body(announcement: Announcement, status: str, ends_at: str) -> bytes:
    fired = announcement.fired
    labels = {
        **fired.labels,
        "alertname": fired.alert,
        "robot": fired.robot_id,
        "severity": fired.labels.get("severity", fired.severity.value),
    }
    annotations = dict(fired.annotations) or ({"summary": fired.summary} if fired.summary else {})
    group = {"alertname": fired.alert, "robot": fired.robot_id}
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": _time(fired.fired_at),
        "endsAt": ends_at,
        "generatorURL": "",
        "fingerprint": fingerprint(labels),
    }
    return msgspec.json.encode(
        {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{fired.alert}", robot="{fired.robot_id}"}}',
            "truncatedAlerts": 0,
            "status": status,
            "receiver": RECEIVER,
            "groupLabels": group,
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "",
            "alerts": [alert],
        }
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
