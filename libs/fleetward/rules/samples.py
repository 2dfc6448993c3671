"""A telemetry frame as samples in event-time order; a frame that lies about its shape is poison."""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache

from msgspec import Struct

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.signals import SIGNALS
from fleetward.contracts.telemetry import (
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ATTRIBUTES,
    MAX_SAMPLES_PER_FRAME,
    MAX_SERIES_PER_FRAME,
    Series,
    TelemetryFrame,
)

MAX_TIME_NS = 2**63 - 1

_INDEX_BYTES, _OFFSET_BYTES, _VALUE_BYTES = 2, 4, 8
_METRICS = {signal.name: signal.metric for signal in SIGNALS}
_NOT_A_LABEL_CHARACTER = re.compile(r"[^A-Za-z0-9_]")


class MalformedFrameError(FleetwardError):
    """A frame whose arrays do not fit each other; it will never get better."""


class Sample(Struct, frozen=True):
    """One value of one series at ``at_ns`` (unix time)."""

    at_ns: int
    series: Series
    value: float


class FrameSamples(Struct, frozen=True):
    """A frame, decoded: ``samples`` oldest first, NaN left out."""

    frame: TelemetryFrame
    samples: tuple[Sample, ...]

    @property
    def ended_at_ns(self) -> int:
        """The time of the newest sample, or of the frame when it has none."""
        return self.samples[-1].at_ns if self.samples else self.frame.started_at_ns


def decode_samples(frame: TelemetryFrame) -> FrameSamples:
    """The samples of ``frame``; raises MalformedFrameError."""
    _refuse_series(frame)
    count, rest = divmod(len(frame.values), _VALUE_BYTES)
    if (
        rest
        or count > MAX_SAMPLES_PER_FRAME
        or len(frame.series_index) != count * _INDEX_BYTES
        or len(frame.offsets_us) != count * _OFFSET_BYTES
        or not 0 <= frame.started_at_ns <= MAX_TIME_NS
    ):
        raise _malformed(frame, "its arrays differ in length, or a bound is exceeded")
    indexes = struct.unpack(f"<{count}H", frame.series_index)
    offsets = struct.unpack(f"<{count}I", frame.offsets_us)
    values = struct.unpack(f"<{count}d", frame.values)
    if indexes and max(indexes) >= len(frame.series):
        raise _malformed(frame, f"a sample names series {max(indexes)} of {len(frame.series)}")
    samples = [
        Sample(frame.started_at_ns + offset * 1000, frame.series[index], value)
        for index, offset, value in zip(indexes, offsets, values, strict=True)
        if not math.isnan(value)
    ]
    samples.sort(key=lambda sample: sample.at_ns)
    return FrameSamples(frame, tuple(samples))


@lru_cache(maxsize=4096)
def metric_of(signal: str) -> str:
    """The Prometheus name of a signal; one that is not ours has its dots replaced."""
    return _METRICS.get(signal) or _NOT_A_LABEL_CHARACTER.sub("_", signal)


@lru_cache(maxsize=4096)
def label_of(attribute: str) -> str:
    """The Prometheus label of an attribute's name."""
    return _NOT_A_LABEL_CHARACTER.sub("_", attribute)


def _refuse_series(frame: TelemetryFrame) -> None:
    if len(frame.series) > MAX_SERIES_PER_FRAME:
        raise _malformed(frame, f"{len(frame.series)} series, the limit is {MAX_SERIES_PER_FRAME}")
    for series in frame.series:
        texts = (series.signal, *series.attributes, *series.attributes.values())
        if len(series.attributes) > MAX_ATTRIBUTES or any(
            len(text) > MAX_ATTRIBUTE_CHARACTERS for text in texts
        ):
            raise _malformed(frame, f"the series {series.signal[:64]!r} has too long attributes")


def _malformed(frame: TelemetryFrame, why: str) -> MalformedFrameError:
    return MalformedFrameError(
        f"frame {frame.boot_id}/{frame.sequence} of {frame.robot_id} is malformed: {why}. "
        "Update the bridge of this robot."
    )
