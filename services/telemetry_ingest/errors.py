"""What can go wrong while telemetry is stored, named by its cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class IngestError(FleetwardError):
    """The root of everything telemetry-ingest raises."""


class FrameRefusedError(IngestError):
    """A frame that breaks its contract: poison, kept as a dead letter and never retried."""


class StorageFullError(IngestError):
    """No room to make samples durable: nothing is acknowledged until there is room again."""


class StorageFailedError(IngestError):
    """The state directory cannot be written: nothing is acknowledged until it can."""


class QueryRefusedError(IngestError):
    """A query outside the named limits; the message says which limit and what to ask instead."""
