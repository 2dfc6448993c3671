"""What the coordinator refuses, named by cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import RolloutId


class CoordinatorError(FleetwardError):
    """The coordinator could not keep a promise."""


class PlanRefusedError(CoordinatorError):
    """A request that cannot become a rollout; nothing was changed."""


class ContestedRolloutError(CoordinatorError):
    """A rollout kept moving under our hands; the fact is delivered again."""


def contested(rollout_id: RolloutId, times: int) -> ContestedRolloutError:
    """The error of whoever decided on it ``times`` times, and was never first."""
    return ContestedRolloutError(
        f"rollout {rollout_id}, or what it depends on, moved {times} times while it was being "
        "decided; what it was decided on is delivered again."
    )
