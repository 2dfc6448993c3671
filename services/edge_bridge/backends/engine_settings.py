"""How TensorRT engines are built and kept on this robot."""

from __future__ import annotations

from msgspec import Struct

from fleetward.engines.recipe import OPTIMIZATION_LEVEL, WORKSPACE_BYTES


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
