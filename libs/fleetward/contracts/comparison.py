"""What stands between two published versions: their chunks, and the delta if one is offered."""

from __future__ import annotations

from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelRef
from fleetward.contracts.registry import DeltaGranted, ManifestLink


class CompareVersions(Event, frozen=True, kw_only=True):
    """Asks what an update from ``base`` to ``target`` is made of."""

    base: ModelRef
    target: ModelRef


class VersionsCompared(Event, frozen=True, kw_only=True):
    """Where both chunk manifests lie, and the delta between them; the links hold for a while."""

    base: ManifestLink
    target: ManifestLink
    delta: DeltaGranted | None = None
