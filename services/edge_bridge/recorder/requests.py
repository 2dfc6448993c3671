"""Whether a robot makes a recording that somebody asks for. Pure."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.recorder.incidents import Incident
from edge_bridge.recorder.limits import RecorderLimits
from fleetward.contracts.recordings import MAX_WINDOW_S

_NS_PER_S = 1_000_000_000


class Asked(Struct, frozen=True, kw_only=True):
    """When an alert last asked for a recording that was made, unix ns by the robot's clock."""

    by_alert_at_ns: int | None = None

    def with_one(self, incident: Incident) -> Asked:
        """This one is made too."""
        return Asked(by_alert_at_ns=incident.at_ns) if incident.alert else self


def refusal_reason(
    asked: Asked, incident: Incident, unsent: int, limits: RecorderLimits, now_ns: int
) -> str | None:
    """Why ``incident`` is not recorded, or None."""
    windows = (incident.before_s, incident.after_s)
    if not all(0.0 <= window_s <= MAX_WINDOW_S for window_s in windows):
        return f"before and after are 0 to {MAX_WINDOW_S:g} s each"
    if incident.between_ns[1] < now_ns - int(limits.ring_s * _NS_PER_S):
        return "what it asks for is forgotten by now"
    if incident.at_ns > now_ns + int(MAX_WINDOW_S * _NS_PER_S):
        return "what it asks for is too far ahead"
    if unsent >= limits.outbox:
        return f"{unsent} recordings are not sent yet"
    last_ns = asked.by_alert_at_ns
    spacing_ns = int(limits.alert_spacing_s * _NS_PER_S)
    if incident.alert and last_ns is not None and abs(incident.at_ns - last_ns) < spacing_ns:
        return f"an alert asked for one less than {limits.alert_spacing_s:g} s before"
    return None
