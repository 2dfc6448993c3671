"""Telemetry on the wire: columnar frames, durable watermarks, summaries, and queries.

Arrays are little-endian and packed, so that a reader takes a view instead of parsing.
"""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import BootId, Digest, RobotId

SIGNAL_PATTERN = r"\A[a-zA-Z][a-zA-Z0-9_.-]{0,127}\Z"
MAX_SERIES_PER_FRAME = 512
MAX_SAMPLES_PER_FRAME = 16_384
MAX_ATTRIBUTES = 16
MAX_ATTRIBUTE_CHARACTERS = 256
"""A frame past one of these is poison to whoever reads it."""

DIGEST_ATTRIBUTE = "digest"
"""The attribute that says which model a sample is about."""
MODEL_ATTRIBUTE = "model"
"""The name of the model whose pipeline a sample is about, on a robot that has several."""
KIND_ATTRIBUTE = "recording.kind"
"""What kind of recording a sample is about: of incidents, all the time, or logs."""

MAX_SUMMARY_SIGNALS = 16
"""Further signals that one summary carries."""


class Series(Struct, frozen=True, kw_only=True):
    """A signal's OpenTelemetry name and its attributes (few, low-cardinality)."""

    signal: str
    attributes: dict[str, str] = {}


class TelemetryFrame(Event, frozen=True, kw_only=True):
    """The samples of one robot of 250 ms, or of a second while it infers nothing.

    ``series_index`` uint16, ``offsets_us`` uint32 (after ``started_at_ns``), ``values`` float64:
    three packed little-endian arrays of the same length n. ``sequence`` counts frames from 1
    since ``boot_id``; robot, boot and sequence together name a frame once and for all.
    """

    robot_id: RobotId
    boot_id: BootId
    sequence: int
    started_at_ns: int
    series: tuple[Series, ...]
    series_index: bytes
    offsets_us: bytes
    values: bytes


class TelemetryStored(Event, frozen=True, kw_only=True):
    """Every frame of this boot up to ``sequence`` is on disk; the robot may trim its spool."""

    robot_id: RobotId
    boot_id: BootId
    sequence: int


class SignalMoments(Struct, frozen=True, array_like=True):
    """Moments of one signal's samples in one window."""

    count: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0


class InferenceSummarized(Event, frozen=True, kw_only=True):
    """How one robot's model did in one window: the moments a cohort comparison needs.

    ``window`` counts up per robot and boot; it names a summary, so a second copy is ignored.
    ``inferences`` counts those that failed too; latencies are of the ``inferences - errors`` that
    did not. Durations in ms; confidence in [0, 1]. ``signals``: what else the robot recorded in
    this window without attributes but the digest, the first MAX_SUMMARY_SIGNALS by name.
    """

    robot_id: RobotId
    boot_id: BootId
    window: int
    digest: Digest
    started_at: UtcTime
    duration_s: float
    inferences: int
    errors: int = 0
    latency_ms_sum: float = 0.0
    latency_ms_sum_of_squares: float = 0.0
    latency_ms_max: float = 0.0
    confidence_count: int = 0
    confidence_sum: float = 0.0
    confidence_sum_of_squares: float = 0.0
    signals: dict[str, SignalMoments] = {}


class QueryTelemetry(Event, frozen=True, kw_only=True):
    """Asks for one signal's samples in [start, end), all robots or one, oldest first."""

    signal: str
    robot_id: RobotId | None = None
    start: UtcTime
    end: UtcTime
    limit: int = 1000


class Sample(Struct, frozen=True, kw_only=True):
    """One stored value. ``at_ns`` is unix time in nanoseconds."""

    robot_id: RobotId
    signal: str
    attributes: dict[str, str]
    at_ns: int
    value: float


class TelemetryQueried(Event, frozen=True, kw_only=True):
    """The answer: at most ``limit`` samples; ``matched`` says how many there were in all."""

    samples: tuple[Sample, ...]
    matched: int
