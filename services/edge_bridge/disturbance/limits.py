"""What a robot's work may suffer from a model that is being prepared."""

from __future__ import annotations

from msgspec import Struct


class DisturbanceLimits(Struct, frozen=True, kw_only=True):
    """When a preparation pauses, goes on, and is given up. Without a limit it does none of these."""

    inference_p99_s: float | None = None
    """Of the model that serves, worker side."""
    control_loop_p99_s: float | None = None
    """Of ``robot.control_loop.duration``: a turn beyond its period."""
    window_s: float = 10.0
    """How far back a judgement looks while a preparation goes on."""
    calm_s: float = 2.0
    """So long both must be within their limits before it goes on."""
    look_s: float = 0.1
    """How often that is looked at."""
    patience_s: float = 600.0
    """The longest that one target's preparation pauses in all."""


NO_LIMITS = DisturbanceLimits()
