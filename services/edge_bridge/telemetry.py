"""Packs what a robot measures into columns: one frame per cut, little-endian, checked on the way in."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import Series, TelemetryFrame

_SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
_NO_ATTRIBUTES: Mapping[str, str] = {}
_NS_PER_US = 1_000


class FrameLimits(Struct, frozen=True, kw_only=True):
    """What one frame may hold; telemetry-ingest refuses more."""

    period_s: float = 0.25
    max_samples: int = 8_192
    max_series: int = 256


class Recorder:
    """Takes samples from any thread and gives them back as frames.

    ``samples_refused`` counts what no frame could hold: NaN, infinity, or more than the limits.
    """

    def __init__(self, robot_id: RobotId, boot_id: BootId, limits: FrameLimits) -> None:
        self._robot_id = robot_id
        self._boot_id = boot_id
        self._limits = limits
        self._lock = threading.Lock()
        self._series: dict[_SeriesKey, int] = {}
        self._samples: list[tuple[int, int, float]] = []
        self.samples_refused = 0

    def record(
        self,
        signal: str,
        value: float,
        attributes: Mapping[str, str] = _NO_ATTRIBUTES,
        at_ns: int | None = None,
    ) -> None:
        """Remember one sample of a signal. ``at_ns`` is unix time, now when left out."""
        key = (signal, tuple(sorted(attributes.items())))
        with self._lock:
            index = self._series.get(key, len(self._series))
            crowded = index >= self._limits.max_series
            if (
                crowded
                or len(self._samples) >= self._limits.max_samples
                or not math.isfinite(value)
            ):
                self.samples_refused += 1
                return
            self._series[key] = index
            self._samples.append((index, time.time_ns() if at_ns is None else at_ns, value))

    def cut(self) -> TelemetryFrame | None:
        """What was recorded since the last cut, without a sequence yet; None when nothing was."""
        with self._lock:
            samples, self._samples = self._samples, []
            series, self._series = self._series, {}
        if not samples:
            return None
        index, at_ns, values = zip(*samples, strict=True)
        started_at_ns = min(at_ns)
        offsets_us = (np.array(at_ns, dtype=np.int64) - started_at_ns) // _NS_PER_US
        return TelemetryFrame(
            robot_id=self._robot_id,
            boot_id=self._boot_id,
            sequence=0,
            started_at_ns=started_at_ns,
            series=tuple(Series(signal=name, attributes=dict(pairs)) for name, pairs in series),
            series_index=np.array(index, dtype="<u2").tobytes(),
            offsets_us=offsets_us.clip(0, _LONGEST_US).astype("<u4").tobytes(),
            values=np.array(values, dtype="<f8").tobytes(),
        )


_LONGEST_US = 59_000_000
"""A clock that was set while a frame was open must not make the frame unreadable."""
