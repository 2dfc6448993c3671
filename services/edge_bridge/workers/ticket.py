"""A frame with its place in the ring, on its way through the bridge and to a worker."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.frames import FrameType


class Ticket(Struct, kw_only=True, tag=True, array_like=True):
    """A frame on its way, and the order to answer it: where it lies in the ring, when it was captured.

    Made when the place is claimed, and completed when the frame was captured. captured_ns counts since
    the epoch and is for people and telemetry; captured_monotonic_ns is what durations are measured
    from, so that a clock that jumps disturbs none.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: FrameType
    frame: int = 0
    captured_monotonic_ns: int = 0
    captured_ns: int = 0
    reissues: int = 0
    compared: bool = False
    """Another model is shown this frame too: of outputs too large to travel whole, send a sample."""
