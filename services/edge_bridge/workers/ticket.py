"""What goes to a worker: a model's verified file, and a frame with its place in the ring."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from edge_bridge.frames import FrameType
from fleetward.contracts.ids import Digest, ModelRef


class StagedModel(Struct, frozen=True, kw_only=True):
    """A verified model file on this robot."""

    model: ModelRef
    digest: Digest
    path: Path


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
