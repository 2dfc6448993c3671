"""What the coordinator refuses, named by cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class CoordinatorError(FleetwardError):
    """The coordinator could not keep a promise."""


class SelectorError(CoordinatorError):
    """A selector that cannot be read; the message points at the place."""

    def __init__(self, selector: str, position: int, problem: str) -> None:
        pointer = f"{selector}\n{' ' * position}^"
        super().__init__(
            f"the selector is not valid at column {position + 1}: {problem}.\n{pointer}\n"
            "Write for example: all, or site=berlin and hw in (orin-nx, thor) and not tag=demo."
        )
        self.position = position


class PlanRefusedError(CoordinatorError):
    """A request that cannot become a rollout; nothing was changed."""


class ContestedRolloutError(CoordinatorError):
    """A rollout kept moving under our hands; the fact is delivered again."""
