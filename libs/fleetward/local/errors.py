"""What can keep a system from running on one machine."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class LocalSystemError(FleetwardError):
    """The system on this machine cannot start or go on."""


class MissingPartError(LocalSystemError):
    """A program or service that the system is made of is not installed."""


class HomeInUseError(LocalSystemError):
    """Another supervisor already runs on this state directory."""


class NotReadyError(LocalSystemError):
    """A process ended, or stayed silent, before it was ready."""
