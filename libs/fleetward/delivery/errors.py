"""What can be wrong with a file, a chunk manifest or a delta, by cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class DeliveryError(FleetwardError):
    """The root of everything this package refuses."""


class LayoutError(DeliveryError):
    """A model file contradicts its own format: offsets, sizes, counts or nesting."""


class ManifestError(DeliveryError):
    """A chunk manifest is not canonical, not complete, or points outside what it describes."""


class ArchiveError(DeliveryError):
    """An exported version is not whole, or is no archive that this program writes."""


class DeltaError(DeliveryError):
    """A delta is not well formed, or does not fit its base or its target."""
