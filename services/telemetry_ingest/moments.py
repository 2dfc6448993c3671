"""Reduces one frame to what its one-second windows need: counts, sums and sums of squares."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fleetward.contracts import signals
from fleetward.contracts.ids import DIGEST_PATTERN
from fleetward.contracts.telemetry import (
    DIGEST_ATTRIBUTE,
    MAX_SUMMARY_SIGNALS,
    MODEL_ATTRIBUTE,
    Series,
    SignalMoments,
)
from telemetry_ingest.columns import Columns

WINDOW_NS = 1_000_000_000
NO_MODEL = ""
"""The digest of a robot's own signals, until their second is over and its model known."""
_MS_PER_S = 1_000.0
_OF_A_MODEL = frozenset({DIGEST_ATTRIBUTE, MODEL_ATTRIBUTE})
_SILENCE = SignalMoments()
_MEANINGFUL = (
    signals.INFERENCE_DURATION.name,
    signals.INFERENCE_ERRORS.name,
    signals.INFERENCE_CONFIDENCE.name,
)

_Values = NDArray[np.float64]


class Moments(Struct, frozen=True, kw_only=True):
    """One model's inferences in the second that begins at ``start_ns`` of the robot's clock.

    ``signals``: what else was recorded of it; under the digest NO_MODEL, of the robot as a whole.
    """

    start_ns: int
    digest: str
    inferences: int = 0
    errors: int = 0
    latency_ms_sum: float = 0.0
    latency_ms_sum_of_squares: float = 0.0
    latency_ms_max: float = 0.0
    confidence_count: int = 0
    confidence_sum: float = 0.0
    confidence_sum_of_squares: float = 0.0
    signals: dict[str, SignalMoments] = {}

    def plus(self, other: Moments) -> Moments:
        """Both together; they must be of the same second and model."""
        return Moments(
            start_ns=self.start_ns,
            digest=self.digest,
            inferences=self.inferences + other.inferences,
            errors=self.errors + other.errors,
            latency_ms_sum=self.latency_ms_sum + other.latency_ms_sum,
            latency_ms_sum_of_squares=self.latency_ms_sum_of_squares
            + other.latency_ms_sum_of_squares,
            latency_ms_max=max(self.latency_ms_max, other.latency_ms_max),
            confidence_count=self.confidence_count + other.confidence_count,
            confidence_sum=self.confidence_sum + other.confidence_sum,
            confidence_sum_of_squares=self.confidence_sum_of_squares
            + other.confidence_sum_of_squares,
            signals=_merged(self.signals, other.signals),
        )


class FrameMoments(Struct, frozen=True, kw_only=True):
    """A frame without its samples: when it began, and one Moments per second and model in it.

    ``started_at_ns`` is None for a frame that was refused: it counts, but says nothing.
    """

    sequence: int
    started_at_ns: int | None = None
    windows: tuple[Moments, ...] = ()


def moments_of(columns: Columns) -> FrameMoments:
    """The frame's moments; an inference without a well-formed ``digest`` belongs to no model."""
    windows: dict[tuple[int, str], Moments] = {}
    for index, series in enumerate(columns.frame.series):
        digest = series.attributes.get(DIGEST_ATTRIBUTE, NO_MODEL)
        if not _counts(series, digest):
            continue
        chosen = columns.series_index == index
        for part in _by_second(
            digest, series.signal, columns.at_ns[chosen], columns.values[chosen]
        ):
            key = (part.start_ns, part.digest)
            windows[key] = windows[key].plus(part) if key in windows else part
    return FrameMoments(
        sequence=columns.frame.sequence,
        started_at_ns=columns.frame.started_at_ns,
        windows=tuple(windows[key] for key in sorted(windows)),
    )


def _counts(series: Series, digest: str) -> bool:
    """What tells of an inference names its model; further signals at most that one, and its name."""
    if digest != NO_MODEL and re.match(DIGEST_PATTERN, digest) is None:
        return False
    if series.signal in _MEANINGFUL:
        return digest != NO_MODEL
    return (
        series.signal not in signals.NOT_SUMMARIZED and not series.attributes.keys() - _OF_A_MODEL
    )


def _merged(
    some: dict[str, SignalMoments], more: dict[str, SignalMoments]
) -> dict[str, SignalMoments]:
    """Sums by name, of the first names in order: the same ones in whatever order frames come."""
    if not some or not more:
        return some or more
    names = sorted(some.keys() | more.keys())[:MAX_SUMMARY_SIGNALS]
    return {name: _sum(some.get(name, _SILENCE), more.get(name, _SILENCE)) for name in names}


def _sum(some: SignalMoments, more: SignalMoments) -> SignalMoments:
    return SignalMoments(
        some.count + more.count,
        some.total + more.total,
        some.total_of_squares + more.total_of_squares,
    )


def _by_second(
    digest: str, signal: str, at_ns: NDArray[np.int64], values: _Values
) -> list[Moments]:
    if not len(at_ns):
        return []
    seconds = at_ns - at_ns % WINDOW_NS
    first = int(seconds[0])
    if bool((seconds == first).all()):  # nearly every frame lies within one second
        return [Moments(start_ns=first, digest=digest, **_sums(signal, values))]
    return [
        Moments(start_ns=int(start), digest=digest, **_sums(signal, values[seconds == start]))
        for start in np.unique(seconds)
    ]


def _sums(signal: str, values: _Values) -> dict[str, Any]:
    """Fields of Moments, hence Any: int counts and float sums by the field's name."""
    if signal == signals.INFERENCE_ERRORS.name:
        failed = int(np.count_nonzero(values > 0))
        return {"inferences": failed, "errors": failed}  # one that failed has no duration
    if signal == signals.INFERENCE_CONFIDENCE.name:
        inside = np.clip(values, 0.0, 1.0)
        return {
            "confidence_count": len(inside),
            "confidence_sum": float(inside.sum()),
            "confidence_sum_of_squares": float(np.square(inside).sum()),
        }
    if signal != signals.INFERENCE_DURATION.name:
        bounded = [min(max(value, -_LARGEST), _LARGEST) for value in values.tolist()]
        squares = sum(value * value for value in bounded)
        return {"signals": {signal: SignalMoments(len(bounded), sum(bounded), squares)}}
    latency_ms = np.clip(values, 0.0, _LONGEST_S) * _MS_PER_S
    return {
        "inferences": len(latency_ms),
        "latency_ms_sum": float(latency_ms.sum()),
        "latency_ms_sum_of_squares": float(np.square(latency_ms).sum()),
        "latency_ms_max": float(latency_ms.max()),
    }


_LARGEST = 1e12
"""A value past this says no more than 'very large', and squares stay finite."""
_LONGEST_S = 3_600.0
"""A duration past this says no more than 'an hour or longer', and squares stay finite."""
