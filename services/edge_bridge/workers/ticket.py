"""A frame with its place in the ring, on its way to a worker."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.frames import FrameType


class Ticket(Struct, kw_only=True):
    """A frame on its way: where it lies in the ring and when it was captured.

    captured_ns counts since the epoch and is for people and telemetry; captured_monotonic_ns is
    what durations are measured from, so that a clock that jumps disturbs none.
    """

    frame: int
    offset: int
    shape: tuple[int, ...]
    dtype: FrameType
    captured_ns: int
    captured_monotonic_ns: int
    reissues: int = 0
    compared: bool = False
    """Another model is shown this frame too."""
