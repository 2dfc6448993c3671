"""Packs what a robot measures into columns: one frame per cut, little-endian, checked on the way in."""

from __future__ import annotations

import math
import re
import struct
import threading
import time
from collections.abc import Mapping

from msgspec import Struct

from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import (
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ATTRIBUTES,
    SIGNAL_PATTERN,
    Series,
    TelemetryFrame,
)

_SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
_NO_ATTRIBUTES: Mapping[str, str] = {}
_NS_PER_US = 1_000


class FrameLimits(Struct, frozen=True, kw_only=True):
    """What one frame may hold; telemetry-ingest refuses more."""

    period_s: float = 0.25
    rest_period_s: float = 1.0
    """A robot that infers nothing, or whose link is slow, is heard of less often: each frame costs the
    disk and the link, and half of a short one are names."""
    rest_samples: int = 128
    """So many samples are sent at once even then."""
    max_samples: int = 8_192
    max_series: int = 256
    max_attributes: int = MAX_ATTRIBUTES
    max_attribute_characters: int = MAX_ATTRIBUTE_CHARACTERS
    max_series_characters: int = 16_384
    """All names and attributes together: with every sample, a frame stays below 256 KiB."""


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
        self._series_characters = 0
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
        key = (signal, tuple(sorted(attributes.items())) if attributes else ())
        with self._lock:
            full = len(self._samples) >= self._limits.max_samples
            index = None if full or not math.isfinite(value) else self._index_of(key)
            if index is None:
                self.samples_refused += 1
                return
            self._samples.append((index, time.time_ns() if at_ns is None else at_ns, value))

    @property
    def waiting(self) -> int:
        """Samples that the next cut gives."""
        return len(self._samples)

    def cut(self) -> TelemetryFrame | None:
        """What was recorded since the last cut, without a sequence yet; None when nothing was."""
        with self._lock:
            samples, self._samples = self._samples, []
            series, self._series = self._series, {}
            self._series_characters = 0
        if not samples:
            return None
        index, at_ns, values = zip(*samples, strict=True)
        started_at_ns = min(at_ns)
        offsets_us = [min((at - started_at_ns) // _NS_PER_US, _LONGEST_US) for at in at_ns]
        return TelemetryFrame(
            robot_id=self._robot_id,
            boot_id=self._boot_id,
            sequence=0,
            started_at_ns=started_at_ns,
            series=tuple(Series(signal=name, attributes=dict(pairs)) for name, pairs in series),
            series_index=struct.pack(f"<{len(index)}H", *index),
            offsets_us=struct.pack(f"<{len(index)}I", *offsets_us),
            values=struct.pack(f"<{len(index)}d", *values),
        )

    def _index_of(self, key: _SeriesKey) -> int | None:
        """The place of a series in the open frame; None when no frame may hold it."""
        known = self._series.get(key)
        if known is not None:
            return known
        signal, attributes = key
        texts = [text for pair in attributes for text in pair]
        characters = len(signal) + sum(map(len, texts))
        if (
            re.match(SIGNAL_PATTERN, signal) is None
            or len(self._series) >= self._limits.max_series
            or len(attributes) > self._limits.max_attributes
            or any(len(text) > self._limits.max_attribute_characters for text in texts)
            or self._series_characters + characters > self._limits.max_series_characters
        ):
            return None
        self._series_characters += characters
        self._series[key] = len(self._series)
        return self._series[key]


_LONGEST_US = 59_000_000
"""A clock that was set while a frame was open must not make the frame unreadable."""
