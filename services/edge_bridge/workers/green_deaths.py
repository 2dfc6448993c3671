"""A green worker that dies while it only waits is started again, and not for ever."""

from __future__ import annotations

from edge_bridge.errors import LoadFailedError
from fleetward.contracts.robots import RobotTarget

MAX_DEATHS = 3
"""Of green workers for one target."""


class GreenDeaths:
    """How often the green worker of the newest target died."""

    def __init__(self) -> None:
        self._generation = 0
        self._reasons: list[str] = []

    def count(self, reason: str) -> None:
        """It died once more."""
        self._reasons.append(reason)

    def refuse(self, target: RobotTarget) -> None:
        """Raise LoadFailedError when it died too often to be started for ``target`` again."""
        if target.generation != self._generation:
            self._generation, self._reasons = target.generation, []
        if len(self._reasons) >= MAX_DEATHS:
            raise LoadFailedError(
                f"the worker of {target.model} died {len(self._reasons)} times while it served "
                f"nobody yet, at last: {self._reasons[-1]}. Run the model off the robot."
            )
