"""The latest value of every signal in a frame of samples, under names that a plot can follow."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, Series, TelemetryFrame

SIGNALS_SCHEMA: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "number"}}
_NS_PER_US = 1_000
_NO_NAME = re.compile(r"\W+", re.ASCII)


def latest(frame: TelemetryFrame) -> tuple[int, bytes]:
    """When the last one was measured, in unix ns, and JSON: ``{"hw_temperature_cpu": 51.5}``."""
    index = np.frombuffer(frame.series_index, dtype="<u2")
    offsets_us = np.frombuffer(frame.offsets_us, dtype="<u4")
    values = np.frombuffer(frame.values, dtype="<f8")
    names = [_name(series) for series in frame.series]
    found = {names[place]: value for place, value in zip(index, values.tolist(), strict=True)}
    last_ns = frame.started_at_ns + int(offsets_us.max(initial=0)) * _NS_PER_US
    return last_ns, msgspec.json.encode(found)


def _name(series: Series) -> str:
    """The signal's name and its attributes' values; not the digest, which changes with each model."""
    told = [value for name, value in sorted(series.attributes.items()) if name != DIGEST_ATTRIBUTE]
    return _NO_NAME.sub("_", "_".join([series.signal, *told]))
