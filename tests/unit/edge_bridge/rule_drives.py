"""A robot's drive with models that come, go and do badly; what the hub says of it; and a robot that judges it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from alerting.fleet import Fleet
from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.rules.robot_rules import RobotRules
from edge_bridge.rules.settings import RuleSettings
from fleetward.contracts.alerts import Severity
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, TelemetryFrame
from fleetward.rules.rulebook import Rulebook
from fleetward.rules.samples import decode_samples
from testkit.telemetry import frame
from tests.unit.alerting.fleets import START, at, feed, fleet

ROBOT = RobotId("r1")
LABELS = {"site": "berlin", "hw": "orin-nx"}
RULES = """
groups:
  - name: own
    rules:
      - alert: Slow
        expr: quantile_over_time(0.5, model_inference_duration_seconds[3s]) > 0.1
        for: 1s
        keep_firing_for: 1s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.robot }} of {{ $labels.site }} takes {{ $value | humanizeDuration }}"}
      - alert: Failing
        expr: sum_over_time(model_inference_errors[5s]) >= 3
        labels: {severity: critical}
      - alert: Late
        expr: avg_over_time(robot_control_loop_duration_seconds{site="berlin"}[2s]) > 0.01
        for: 500ms
        labels: {severity: critical}
      - alert: Elsewhere
        expr: model_inference_duration_seconds{site!="berlin"} > 0
        labels: {severity: critical}
      - alert: Warm
        expr: model_inference_duration_seconds > 0.05
        labels: {severity: warning}
"""
DIGESTS = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]


def drive(seed: int) -> Iterator[TelemetryFrame]:
    """Two minutes of a robot whose models change, and are slow, failing or both for seconds at a time."""
    chance = random.Random(seed)
    slow = failing = late = False
    digest = DIGESTS[0]
    for number in range(1, 481):
        if number % 12 == 0:
            slow, failing, late = (chance.random() < 0.4 for _ in range(3))
            digest = chance.choice(DIGESTS)
        points = {
            "model.inference.duration": [
                (0.05, 0.3 if slow else 0.02),
                (0.2, 0.12 if slow else 0.03),
            ],
            "robot.control_loop.duration": [(0.1, chance.choice((0.02, 0.05)) if late else 0.001)],
        }
        if failing:
            points["model.inference.errors"] = [(0.15, 1.0)]
        of_model = {DIGEST_ATTRIBUTE: digest}
        yield frame(
            ROBOT,
            "b1",
            number,
            at((number - 1) * 0.25),
            points,
            {"model.inference.duration": of_model, "model.inference.errors": of_model},
        )


def by_the_hub(rulebook: Rulebook, frames: list[TelemetryFrame]) -> list[AlertEvent]:
    """What the hub says of critical rules."""
    hub: Fleet = fleet(rulebook)
    hub.enrol(
        RobotEnrolled(robot_id=ROBOT, labels=LABELS, enrolled_at=START, lease_s=5.0),
        0.0,
        known=True,
    )
    critical = {rule.alert for rule in rulebook.rules if rule.severity is Severity.CRITICAL}
    announced = feed(hub, map(decode_samples, frames))
    return [each.event for each in announced if each.event.alert in critical]


@asynccontextmanager
async def judging(settings: RuleSettings) -> AsyncIterator[tuple[RobotRules, list[AlertEvent]]]:
    heard: list[AlertEvent] = []
    rules = RobotRules(ROBOT, settings, Path("/nowhere"), heard.append)
    await rules.follow()  # a file is read once
    task = asyncio.create_task(rules.judge())
    try:
        yield rules, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
