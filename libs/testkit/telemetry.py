"""Builds the telemetry frames a robot would send, so that tests speak in signals and values."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone

import numpy as np

from fleetward.contracts import signals
from fleetward.contracts.ids import BootId, Digest, RobotId
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, Series, TelemetryFrame

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Points = Sequence[tuple[float, float]]
"""(offset in seconds after the frame's start, value), in the order they were measured."""


def frame(
    robot_id: str,
    boot_id: str,
    sequence: int,
    started_at: datetime,
    points: Mapping[str, Points],
    attributes: Mapping[str, Mapping[str, str]] | None = None,
) -> TelemetryFrame:
    """A frame with one series per signal of ``points``; ``attributes`` are given by signal.

    >>> frame("r1", "b1", 1, now, {"link.rtt": [(0.0, 0.02), (0.1, 0.03)]})
    """
    of_signal = attributes or {}
    series = tuple(Series(signal=name, attributes=dict(of_signal.get(name, {}))) for name in points)
    return frame_of_series(robot_id, boot_id, sequence, started_at, series, list(points.values()))


def frame_of_series(
    robot_id: str,
    boot_id: str,
    sequence: int,
    started_at: datetime,
    series: Sequence[Series],
    points: Sequence[Points],
) -> TelemetryFrame:
    """A frame in which a signal may stand twice with other attributes, as in a model swap."""
    rows = [
        (index, round(offset_s * 1e6), value)
        for index, samples in enumerate(points)
        for offset_s, value in samples
    ]
    rows.sort(key=lambda row: row[1])
    return TelemetryFrame(
        robot_id=RobotId(robot_id),
        boot_id=BootId(boot_id),
        sequence=sequence,
        started_at_ns=nanoseconds(started_at),
        series=tuple(series),
        series_index=np.array([row[0] for row in rows], dtype="<u2").tobytes(),
        offsets_us=np.array([row[1] for row in rows], dtype="<u4").tobytes(),
        values=np.array([row[2] for row in rows], dtype="<f8").tobytes(),
    )


def inference_frames(
    robot_id: str,
    boot_id: str,
    started_at: datetime,
    digest: str,
    *,
    count: int,
    first_sequence: int = 1,
    frame_s: float = 0.25,
    rate_hz: float = 20.0,
    latency_s: float = 0.02,
    error_share: float = 0.0,
    confidence: float = 0.9,
    seed: int = 0,
) -> Iterator[TelemetryFrame]:
    """``count`` consecutive frames of a robot that infers at ``rate_hz``, as a bridge sends them.

    Latencies are log-normal around ``latency_s``, errors are a share of the inferences, and the
    link's round trip is measured once a frame. The same ``seed`` gives the same frames.
    """
    chance = random.Random(f"{seed}/{robot_id}/{boot_id}")  # noqa: S311 - reproducible, not secret
    for number in range(count):
        yield frame(
            robot_id,
            boot_id,
            first_sequence + number,
            started_at + timedelta(seconds=number * frame_s),
            _inference_points(chance, frame_s, rate_hz, latency_s, error_share, confidence),
            {signal.name: {DIGEST_ATTRIBUTE: digest} for signal in _OF_A_MODEL},
        )


_OF_A_MODEL = (
    signals.INFERENCE_DURATION,
    signals.INFERENCE_ERRORS,
    signals.INFERENCE_CONFIDENCE,
)


def _inference_points(
    chance: random.Random,
    frame_s: float,
    rate_hz: float,
    latency_s: float,
    error_share: float,
    confidence: float,
) -> dict[str, Points]:
    durations: list[tuple[float, float]] = []
    errors: list[tuple[float, float]] = []
    certainties: list[tuple[float, float]] = []
    for turn in range(round(frame_s * rate_hz)):
        offset_s = turn / rate_hz
        took_s = latency_s * chance.lognormvariate(0.0, 0.1)
        if chance.random() < error_share:
            errors.append((offset_s, 1.0))
        else:
            durations.append((offset_s, took_s))
            certainties.append((offset_s, min(1.0, max(0.0, chance.gauss(confidence, 0.02)))))
    return {
        signals.INFERENCE_DURATION.name: durations,
        signals.INFERENCE_ERRORS.name: errors,
        signals.INFERENCE_CONFIDENCE.name: certainties,
        signals.CLOUD_ROUND_TRIP.name: [(0.0, 0.02 * chance.lognormvariate(0.0, 0.2))],
    }


def digest_of(letter: str) -> Digest:
    """A well-formed digest made of one hex digit, for tests that need models to differ."""
    return Digest("sha256:" + letter * 64)


def nanoseconds(at: datetime) -> int:
    """Unix time in nanoseconds, exact to the microsecond (a float would lose the last digits)."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
