"""Takes a frame apart into numpy views, and refuses every frame that breaks its contract.

Nothing is copied but the times (offsets become unix nanoseconds). Whatever a robot may send,
the answer is a Columns within the limits below or a FrameRefusedError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetward.contracts.telemetry import (
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ATTRIBUTES,
    MAX_SAMPLES_PER_FRAME,
    MAX_SERIES_PER_FRAME,
    SIGNAL_PATTERN,
    Series,
    TelemetryFrame,
)
from telemetry_ingest.errors import FrameRefusedError

MAX_FRAME_S = 60.0
MAX_SEQUENCE = 2**53
MAX_STARTED_AT_NS = 2**62

_INDEX = np.dtype("<u2")
_OFFSET_US = np.dtype("<u4")
_VALUE = np.dtype("<f8")
_NS_PER_US = 1_000


@dataclass(frozen=True)
class Columns:
    """One frame's n samples: ``series_index``, ``at_ns`` (unix time) and ``values``, all of length n.

    The arrays are read-only; ``series_index`` is a position in ``frame.series``.
    """

    frame: TelemetryFrame
    series_index: NDArray[np.uint16]
    at_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def samples(self) -> int:
        """How many samples the frame holds."""
        return len(self.values)


def columns_of(frame: TelemetryFrame) -> Columns:
    """Views into ``frame``'s arrays; raises FrameRefusedError and says which rule was broken."""
    _check_header(frame)
    _check_series(frame)
    index = _view(frame, "series_index", frame.series_index, _INDEX)
    offsets_us = _view(frame, "offsets_us", frame.offsets_us, _OFFSET_US)
    values = _view(frame, "values", frame.values, _VALUE)
    _check_arrays(frame, index, offsets_us, values)
    at_ns = offsets_us.astype(np.int64) * _NS_PER_US + frame.started_at_ns
    return Columns(frame, index, at_ns, values)


def _check_header(frame: TelemetryFrame) -> None:
    if not 1 <= frame.sequence <= MAX_SEQUENCE:
        raise _refused(frame, f"its sequence is outside 1..{MAX_SEQUENCE}")
    if not 0 <= frame.started_at_ns <= MAX_STARTED_AT_NS:
        raise _refused(frame, f"started_at_ns {frame.started_at_ns} is outside 0..2**62")


def _check_series(frame: TelemetryFrame) -> None:
    if len(frame.series) > MAX_SERIES_PER_FRAME:
        raise _refused(frame, f"{len(frame.series)} series are more than {MAX_SERIES_PER_FRAME}")
    for series in frame.series:
        reason = _series_reason(series)
        if reason is not None:
            raise _refused(frame, reason)


def _series_reason(series: Series) -> str | None:
    if re.match(SIGNAL_PATTERN, series.signal) is None:
        return f"signal {series.signal[:64]!r} is not 1 to 128 of a-z, A-Z, 0-9, '_', '.', '-'"
    if len(series.attributes) > MAX_ATTRIBUTES:
        return (
            f"{series.signal} has {len(series.attributes)} attributes, more than {MAX_ATTRIBUTES}"
        )
    if any(len(text) > MAX_ATTRIBUTE_CHARACTERS for text in _texts(series)):
        return f"an attribute of {series.signal} is longer than {MAX_ATTRIBUTE_CHARACTERS}"
    return None


def _texts(series: Series) -> tuple[str, ...]:
    return (*series.attributes, *series.attributes.values())


def _view(frame: TelemetryFrame, name: str, packed: bytes, item: np.dtype[Any]) -> NDArray[Any]:
    if len(packed) % item.itemsize:
        raise _refused(frame, f"{name} is {len(packed)} bytes, not a multiple of {item.itemsize}")
    return np.frombuffer(packed, dtype=item)


def _check_arrays(
    frame: TelemetryFrame,
    index: NDArray[np.uint16],
    offsets_us: NDArray[np.uint32],
    values: NDArray[np.float64],
) -> None:
    count = len(values)
    if not len(index) == len(offsets_us) == count:
        raise _refused(frame, f"array lengths differ: {len(index)}, {len(offsets_us)}, {count}")
    if count > MAX_SAMPLES_PER_FRAME:
        raise _refused(frame, f"{count} samples are more than {MAX_SAMPLES_PER_FRAME}")
    if count == 0:
        return
    if int(index.max()) >= len(frame.series):
        raise _refused(frame, f"series_index {index.max()} of only {len(frame.series)} series")
    if int(offsets_us.max()) > MAX_FRAME_S * 1e6:
        raise _refused(frame, f"an offset of {offsets_us.max()} us is beyond {MAX_FRAME_S:.0f} s")
    if not bool(np.isfinite(values).all()):
        raise _refused(frame, "a value is NaN or infinite")


def _refused(frame: TelemetryFrame, reason: str) -> FrameRefusedError:
    return FrameRefusedError(
        f"frame {frame.sequence} of {frame.robot_id} (boot {frame.boot_id}) was refused: {reason}. "
        "Correct what the robot measures or packs; the frame is kept as a dead letter."
    )
