"""What the coordinator refuses, named by cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class CoordinatorError(FleetwardError):
    """The coordinator could not keep a promise."""


class PlanRefusedError(CoordinatorError):
    """A request that cannot become a rollout; nothing was changed."""


class ContestedRolloutError(CoordinatorError):
    """A rollout kept moving under our hands; the fact is delivered again."""
