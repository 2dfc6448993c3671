"""How TensorRT engines are built and kept on this robot."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.ids import RobotId
from fleetward.engines.recipe import OPTIMIZATION_LEVEL, WORKSPACE_BYTES

ANYBODY = "*"
"""Among builders: every robot that has the twins' key."""


class TwinSettings(Struct, frozen=True, kw_only=True):
    """The robots of the same hardware that this one shares engines with.

    key: a file of 32 random bytes, the same on all of them and readable by the bridge's user alone.
    builders: whose engines are taken here; of nobody, and engines are only offered, unless told.
    """

    robot_id: RobotId
    key: str
    builders: tuple[str, ...] = ()
    patience_s: float = 300.0
    """An engine that is not here by then is built."""

    def trusts(self, builder: RobotId) -> bool:
        """Whether an engine that this robot built may run here."""
        return builder in self.builders or ANYBODY in self.builders


class EngineSettings(Struct, frozen=True, kw_only=True):
    """directory: where engines are kept; empty: nowhere, and each load builds."""

    directory: str = ""
    workspace_bytes: int = WORKSPACE_BYTES
    optimization_level: int = OPTIMIZATION_LEVEL
    dla_core: int | None = None
    reserve_bytes: int = 64 * 1024 * 1024
    """Stays free on the disk: an engine can be built again, a journal cannot."""
    build_limit_s: float = 1800.0
    """A build that takes longer is given up; what it measured is kept for the next attempt."""
    twins: TwinSettings | None = None
    """None: engines are neither offered to other robots nor taken from them."""
