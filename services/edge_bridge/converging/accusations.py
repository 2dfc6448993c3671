"""The critical alerts that fire on this robot, and what they say of the model that serves.

As the rollout coordinator judges it: an alert counts when the model may be its cause, by its samples and
by its time.
"""

from __future__ import annotations

from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved, Severity
from fleetward.contracts.ids import AlertName, Digest

AlertEvent = AlertFired | AlertResolved | AlertBecameUnknown


class Accusations:
    """What fires now, as far as it may be a model's fault."""

    def __init__(self) -> None:
        self._firing: dict[AlertName, AlertFired] = {}
        self._on_trial: Digest | None = None

    def heard(self, event: AlertEvent) -> None:
        """A rule began to hold, or no longer does."""
        if not isinstance(event, AlertFired):
            self._firing.pop(event.alert, None)
        elif event.severity is Severity.CRITICAL:
            self._firing[event.alert] = event

    def begin(self, digest: Digest, *, is_new: bool) -> None:
        """A model serves from now on: what others' samples, or nobody's, raised before is not its fault.

        One that is not new is what the robot returns to: it is not tried, for there is nothing better.
        """
        self._on_trial = digest if is_new else None
        self._firing = {
            name: fired for name, fired in self._firing.items() if fired.digest == digest
        }

    def against(self, digest: Digest) -> str | None:
        """Which rule says that the model should not serve, and why."""
        if digest != self._on_trial:
            return None
        for fired in self._firing.values():
            if fired.digest is None or fired.digest == digest:
                return f"rule {fired.alert}: {fired.summary or fired.expression}"
        return None
