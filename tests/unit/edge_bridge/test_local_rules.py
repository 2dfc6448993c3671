"""One rule file and one robot's samples, through the hub's fleet and through the robot: the same verdicts."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from alerting.fleet import Fleet
from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.rules.judging import LocalRules
from edge_bridge.rules.settings import RuleSettings, rule_settings
from fleetward.bus.environment import Environment, SettingsError
from fleetward.contracts.alerts import AlertFired, AlertResolved, Severity
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, TelemetryFrame
from fleetward.rules.compilation import load_rulebook
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
async def judging(settings: RuleSettings) -> AsyncIterator[tuple[LocalRules, list[AlertEvent]]]:
    heard: list[AlertEvent] = []
    rules = LocalRules(ROBOT, settings, heard.append)
    task = asyncio.create_task(rules.run())
    try:
        yield rules, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def by_the_robot(settings: RuleSettings, frames: list[TelemetryFrame]) -> list[AlertEvent]:
    async with judging(settings) as (rules, heard):
        for each in frames:
            # As the robot cuts them: no sequence yet, that comes with the spool.
            rules.sampled(replace(each, sequence=0))
            await rules.judged_all()
        return heard


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_robot_says_what_the_hub_says(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "own.yml"
    path.write_text(RULES)
    frames = list(drive(seed))
    hub = by_the_hub(load_rulebook(tmp_path), frames)
    assert {event.alert for event in hub} >= {"Slow", "Failing", "Late"}, "the drive is too calm"
    assert {event.alert for event in hub}.isdisjoint({"Elsewhere", "Warm"})
    assert any(isinstance(event, AlertResolved) for event in hub)
    assert await by_the_robot(RuleSettings(path=path, labels=LABELS), frames) == hub


async def test_the_shipped_rules_are_judged_alike() -> None:
    settings = rule_settings(
        Environment({"FLEETWARD_RULES": "shipped", "FLEETWARD_LABELS": "site=berlin,hw=orin-nx"})
    )
    assert settings is not None
    assert settings.labels == LABELS
    frames = list(drive(4))
    hub = by_the_hub(load_rulebook(settings.path), frames)
    assert {event.alert for event in hub if isinstance(event, AlertFired)} == {
        "InferenceOverBudget",
        "InferenceErrors",
    }
    assert await by_the_robot(settings, frames) == hub


@pytest.mark.parametrize(
    "content", [b"groups: [{name: g, rules: [{alert: A, expr: 'x >'}]}]", None]
)
async def test_rules_that_cannot_be_read_cost_the_rules_and_not_the_robot(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "own.yml"
    if content is not None:
        path.write_bytes(content)
    rules = LocalRules(ROBOT, RuleSettings(path=path), lambda _: None)
    await asyncio.wait_for(rules.run(), 30)
    (said,) = [each for each in caplog.messages if "rules.off" in each]
    assert "own.yml" in said
    rules.sampled(next(drive(1)))  # into the void


def test_a_robot_without_the_extra_is_told_what_to_install() -> None:
    without = "import sys; sys.modules['promql_parser'] = None; from edge_bridge.rules.reading import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", without, "own.yml"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Install it, or unset FLEETWARD_RULES." in ended.stderr
    assert ended.stderr.count("\n") == 1, "a sentence, no traceback"


async def test_a_rule_that_these_samples_make_ambiguous_is_named_once_and_the_others_are_judged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "own.yml"
    ambiguous = "model_inference_duration_seconds - on(robot) model_inference_duration_seconds > 0"
    path.write_text(
        RULES
        + f"      - alert: Torn\n        expr: {ambiguous}\n        labels: {{severity: critical}}\n"
    )
    heard = await by_the_robot(RuleSettings(path=path, labels=LABELS), list(drive(1)))
    (said,) = [each for each in caplog.messages if "rules.not_judged" in each]
    assert "Torn" in said
    assert "Slow" in {event.alert for event in heard}


@pytest.mark.parametrize("labels", ["berlin", "=x", "a=b=c", "1a=b"])
def test_what_is_no_label_is_refused(labels: str) -> None:
    with pytest.raises(SettingsError, match="FLEETWARD_LABELS"):
        rule_settings(Environment({"FLEETWARD_RULES": "shipped", "FLEETWARD_LABELS": labels}))


def test_no_rules_are_judged_unless_they_are_asked_for() -> None:
    assert rule_settings(Environment({})) is None
