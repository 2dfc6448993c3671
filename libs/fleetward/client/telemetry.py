"""Telemetry for a program: frames as robots send them, unpacked into single values."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.telemetry import Sample, TelemetryFrame

NANOSECONDS_PER_MICROSECOND = 1000
_INDEX_BYTES, _OFFSET_BYTES, _VALUE_BYTES = 2, 4, 8


def samples_of(frame: TelemetryFrame) -> Iterator[Sample]:
    """Each sample of a frame, in the frame's order; raises UnreadableMessageError.

    For programs that look at a few values; those that look at all take the packed arrays.
    """
    count = len(frame.values) // _VALUE_BYTES
    _refuse_uneven(frame, count)
    columns = zip(
        struct.unpack(f"<{count}H", frame.series_index),
        struct.unpack(f"<{count}I", frame.offsets_us),
        struct.unpack(f"<{count}d", frame.values),
        strict=True,
    )
    for index, offset_us, value in columns:
        if index >= len(frame.series):
            raise UnreadableMessageError(
                f"Frame {frame.sequence} of {frame.robot_id} names series {index} of "
                f"{len(frame.series)}. Skip the frame; the robot's bridge is at fault."
            )
        series = frame.series[index]
        yield Sample(
            robot_id=frame.robot_id,
            signal=series.signal,
            attributes=series.attributes,
            at_ns=frame.started_at_ns + offset_us * NANOSECONDS_PER_MICROSECOND,
            value=value,
        )


def _refuse_uneven(frame: TelemetryFrame, count: int) -> None:
    lengths = (len(frame.series_index), len(frame.offsets_us), len(frame.values))
    if lengths != (count * _INDEX_BYTES, count * _OFFSET_BYTES, count * _VALUE_BYTES):
        raise UnreadableMessageError(
            f"Frame {frame.sequence} of {frame.robot_id} has columns of {lengths} bytes, which "
            "are not of one length. Skip the frame; the robot's bridge is at fault."
        )
