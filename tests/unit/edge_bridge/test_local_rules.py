"""One rule file and one robot's samples, through the hub's fleet and through the robot: the same verdicts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.rules.robot_rules import RobotRules
from edge_bridge.rules.settings import RuleSettings, rule_settings
from fleetward.bus.environment import Environment, SettingsError
from fleetward.contracts.alerts import AlertFired, AlertResolved
from fleetward.contracts.telemetry import TelemetryFrame
from fleetward.rules.compilation import load_rulebook
from tests.unit.edge_bridge.rule_drives import (
    LABELS,
    ROBOT,
    RULES,
    by_the_hub,
    drive,
    judging,
)


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
    assert settings.path is not None
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
    rules = RobotRules(ROBOT, RuleSettings(path=path), tmp_path, lambda _: None)
    await asyncio.wait_for(rules.follow(), 30)
    (said,) = [each for each in caplog.messages if "rules.off" in each]
    assert "own.yml" in said
    assert rules.standing.digest is None
    assert "own.yml" in rules.standing.trouble
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


def test_a_robot_that_is_told_nothing_goes_by_the_hubs_rules_and_one_that_wants_none_by_none() -> (
    None
):
    assert rule_settings(Environment({})) == RuleSettings(path=None)
    assert rule_settings(Environment({"FLEETWARD_RULES": "none"})) is None
