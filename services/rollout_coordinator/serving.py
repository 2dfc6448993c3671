"""What a robot serves by its newest target: neither what it shadows, nor what it only staged. Pure."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.robots import RobotTarget, TargetMode


class Served(Struct, frozen=True):
    """A model and its bytes."""

    model: ModelRef
    digest: Digest


def served(target: RobotTarget | None) -> Served | None:
    """Beside another mode the robot serves on what the target names to fall back to; None for nothing."""
    if target is None:
        return None
    if target.mode is TargetMode.SERVE:
        return Served(target.model, target.digest)
    if target.fallback is None or target.fallback_digest is None:
        return None
    return Served(target.fallback, target.fallback_digest)
