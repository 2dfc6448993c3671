"""Builders for tests of alerting's pure core: rules from text, frames from numbers, seconds from 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone

from alerting.fleet import Fleet, FleetLimits
from alerting.silence import SilenceLimits
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.rules.compilation import compile_rulebook
from fleetward.rules.incidents import Announcement, Incident, IncidentKey
from fleetward.rules.rulebook import Rulebook
from fleetward.rules.samples import FrameSamples, decode_samples
from testkit.telemetry import frame

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SILENCE = SilenceLimits(reconnect_grace_s=2.0, first_contact_s=30.0)

SLOW_RULE = """
groups:
  - name: own
    rules:
      - alert: Slow
        expr: quantile_over_time(0.5, model_inference_duration_seconds[3s]) > 0.1
        for: 1s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.robot }} at {{ $value }}"}
"""


def rulebook(text: str = SLOW_RULE) -> Rulebook:
    return compile_rulebook([("own.yml", text.encode())])


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def slow_frame(
    sequence: int,
    value: float,
    *,
    robot: str = "r1",
    boot: str = "b1",
    start_s: float | None = None,
    attributes: Mapping[str, str] | None = None,
    signal: str = "model.inference.duration",
) -> FrameSamples:
    """A frame of 250 ms with two samples; by default frame n begins at (n - 1) / 4 seconds."""
    begins = (sequence - 1) * 0.25 if start_s is None else start_s
    points = {signal: [(0.05, value), (0.2, value)]}
    return decode_samples(
        frame(robot, boot, sequence, at(begins), points, {signal: dict(attributes or {})})
    )


def fleet(
    book: Rulebook | None = None,
    *,
    incidents: Mapping[IncidentKey, Incident] | None = None,
    robots: Iterable[str] = ("r1",),
    lease_s: float = 5.0,
) -> Fleet:
    built = Fleet(book or rulebook(), FleetLimits(silence=SILENCE), incidents or {}, 0.0)
    for robot in robots:
        built.enrol(
            RobotEnrolled(robot_id=RobotId(robot), enrolled_at=START, lease_s=lease_s),
            0.0,
            known=True,
        )
    return built


def feed(one: Fleet, frames: Iterable[FrameSamples]) -> list[Announcement]:
    """Each frame arrives when its newest sample is measured."""
    announcements = []
    for arrived in frames:
        second = (arrived.ended_at_ns - _ns(START)) / 1e9
        announcements += one.take(arrived, at(second), at(second), second)
    return announcements


def kinds(announcements: Iterable[Announcement]) -> list[str]:
    return [announcement.id for announcement in announcements]


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
