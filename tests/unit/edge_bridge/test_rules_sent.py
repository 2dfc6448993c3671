"""What the hub sends is judged as the hub judges it, also while it changes, and whatever is wrong with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from alerting.fleet import Fleet
from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.rules.judging import LocalRules
from edge_bridge.rules.robot_rules import RobotRules
from edge_bridge.rules.settings import RuleSettings
from fleetward.contracts.alerts import AlertFired, AlertResolved
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rule_sets import RuleSet, RuleSource
from fleetward.contracts.telemetry import TelemetryFrame
from fleetward.rules.compilation import load_rulebook
from fleetward.rules.rule_sets import compiled, critical
from fleetward.rules.rulebook import Rulebook
from fleetward.rules.samples import decode_samples
from tests.unit.alerting.fleets import START, feed, fleet
from tests.unit.edge_bridge.rule_drives import (
    LABELS,
    ROBOT,
    RULES,
    by_the_hub,
    drive,
    judging,
)


def sent_by_the_hub(rulebook: Rulebook, revision: int = 1) -> RuleSet:
    """As alerting sends it, after its journey."""
    rules = compiled(critical(rulebook))
    sent = RuleSet(revision=revision, lookback_s=300.0, rules=rules, issued_at=START)
    return decode(encode(sent), RuleSet)


@asynccontextmanager
async def told_by_the_hub(
    rule_set: RuleSet,
) -> AsyncIterator[tuple[RobotRules, list[AlertEvent]]]:
    async with judging(RuleSettings(labels=LABELS)) as (rules, heard):
        rules.hub_says(rule_set, "")
        yield rules, heard


class Said:
    """What the hub last said of the robot's labels."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels


async def judge(rules: RobotRules, frames: list[TelemetryFrame]) -> None:
    for each in frames:
        rules.sampled(replace(each, sequence=0))
        await rules.judged_all()


async def test_what_the_hub_sends_is_judged_as_the_hub_judges_it(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(RULES)
    rulebook, frames = load_rulebook(tmp_path), list(drive(1))
    async with told_by_the_hub(sent_by_the_hub(rulebook)) as (rules, heard):
        await judge(rules, frames)
        assert heard == by_the_hub(rulebook, frames)
        by_file = RobotRules(
            ROBOT, RuleSettings(path=tmp_path / "own.yml"), tmp_path, lambda _: None
        )
        await by_file.follow()
        assert by_file.standing.digest == rules.standing.digest, "the same rules, the same name"
        assert (by_file.standing.source, rules.standing.source) == (RuleSource.FILE, RuleSource.HUB)


def rules_in(tmp_path: Path, text: str) -> Rulebook:
    (tmp_path / "own.yml").write_text(text)
    return load_rulebook(tmp_path)


async def test_rules_that_change_within_a_drive_change_as_they_do_on_the_hub(
    tmp_path: Path,
) -> None:
    """Samples count anew, what fires by a rule that stays goes on, by one that goes it ends."""
    before = rules_in(tmp_path, RULES)
    after = rules_in(tmp_path, RULES.replace("alert: Failing", "alert: Broken"))
    frames = list(drive(2))
    hub: Fleet = fleet(before)
    hub.enrol(
        RobotEnrolled(robot_id=ROBOT, labels=LABELS, enrolled_at=START, lease_s=5.0),
        0.0,
        known=True,
    )
    critical_of = {rule.alert for rule in (*critical(before).rules, *critical(after).rules)}
    announced = feed(hub, map(decode_samples, frames[:200]))
    firing_then = {each.event.alert for each in announced} - {"Warm"}
    ended = hub.replace_rules(after, START)
    announced += ended
    announced += feed(hub, map(decode_samples, frames[200:]))
    wanted = [each.event for each in announced if each.event.alert in critical_of]
    assert "Failing" in firing_then
    async with told_by_the_hub(sent_by_the_hub(before)) as (rules, heard):
        await judge(rules, frames[:200])
        rules.hub_says(sent_by_the_hub(after, 2), "")
        await judge(rules, frames[200:])
        assert [plain(event) for event in heard] == [plain(event) for event in wanted]


def plain(event: AlertEvent) -> AlertEvent:
    """Without when a rule was taken out: the hub says it by the clock, the robot by its samples."""
    return replace(event, resolved_at=START) if isinstance(event, AlertResolved) else event


async def test_the_same_rules_under_another_revision_leave_open_windows_open(
    tmp_path: Path,
) -> None:
    rulebook, frames = rules_in(tmp_path, RULES), list(drive(1))
    async with told_by_the_hub(sent_by_the_hub(rulebook)) as (rules, heard):
        for number, each in enumerate(frames):
            rules.hub_says(sent_by_the_hub(rulebook, number + 1), "")
            await judge(rules, [each])
        assert heard == by_the_hub(rulebook, frames)
        assert rules.standing.revision == len(frames)


async def test_a_rule_of_a_newer_hub_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    whole = sent_by_the_hub(rules_in(tmp_path, RULES))
    slow, *others = whole.rules
    newer = replace(
        slow, compiled=slow.compiled.replace(b"quantile_over_time", b"quantile_over_tide")
    )
    async with told_by_the_hub(replace(whole, rules=(newer, *others))) as (rules, heard):
        await judge(rules, list(drive(1)))
        assert {event.alert for event in heard} == {"Failing", "Late"}
        assert rules.standing.rules == len(others)
        assert "Slow cannot be judged here" in rules.standing.trouble
        rules.hub_says(whole, "")
        await judge(rules, list(drive(1)))
        assert "Slow" in {event.alert for event in heard}
        assert rules.standing.trouble == ""


async def test_rules_that_count_no_more_accuse_nobody(tmp_path: Path) -> None:
    """Their key was taken away: what they had open is over."""
    frames = list(drive(1))
    async with told_by_the_hub(sent_by_the_hub(rules_in(tmp_path, RULES))) as (rules, heard):
        for each in frames:
            await judge(rules, [each])
            if heard:
                break
        assert isinstance(heard[-1], AlertFired)
        rules.hub_says(None, "the key was taken away")
        await judge(rules, frames)
        assert isinstance(heard[-1], AlertResolved)
        assert len(heard) == 2
        assert (rules.standing.digest, rules.standing.trouble) == (None, "the key was taken away")


async def test_what_fails_while_it_judges_costs_the_rules_until_there_are_others(
    tmp_path: Path,
) -> None:
    rule_set = sent_by_the_hub(rules_in(tmp_path, RULES))
    async with told_by_the_hub(rule_set) as (rules, heard):
        await judge(rules, [replace(next(drive(1)), values=b"torn")])
        assert rules.standing.digest is None
        rules.hub_says(rule_set, "")  # the next look finds nothing new
        assert "malformed" in rules.standing.trouble
        rules.hub_says(sent_by_the_hub(rules_in(tmp_path, RULES), 2), "")
        await judge(rules, list(drive(1)))
        assert heard
        assert rules.standing.trouble == ""


async def test_labels_that_change_change_what_is_judged_as_they_do_on_the_hub(
    tmp_path: Path,
) -> None:
    """``Late`` and ``Elsewhere`` ask where the robot is: first in Berlin, then not."""
    rulebook, frames = rules_in(tmp_path, RULES), list(drive(2))
    kyoto = LABELS | {"site": "kyoto"}
    hub: Fleet = fleet(rulebook)
    enrolled = RobotEnrolled(robot_id=ROBOT, labels=LABELS, enrolled_at=START, lease_s=5.0)
    hub.enrol(enrolled, 0.0, known=True)
    announced = feed(hub, map(decode_samples, frames[:200]))
    hub.enrol(replace(enrolled, labels=kyoto), 0.0, known=True)
    announced += feed(hub, map(decode_samples, frames[200:]))
    wanted = [each.event for each in announced if each.event.alert != "Warm"]
    assert {event.alert for event in wanted} >= {"Late", "Elsewhere"}
    said, heard = Said(LABELS), list[AlertEvent]()
    judge_of = LocalRules(ROBOT, lambda: said.labels, heard.append, pytest.fail)
    task = asyncio.create_task(judge_of.run())
    judge_of.use(critical(rulebook), 300.0)
    for number, each in enumerate(frames):
        said.labels = LABELS if number < 200 else kyoto
        judge_of.sampled(replace(each, sequence=0))
        await judge_of.judged_all()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert heard == wanted


def test_what_the_hub_sends_needs_no_parser_on_the_robot(tmp_path: Path) -> None:
    """Neither the extra's packages nor anything of ours that loads them."""
    (tmp_path / "sent").write_bytes(encode(sent_by_the_hub(rules_in(tmp_path, RULES))))
    without = """
import sys
from pathlib import Path
sys.modules["promql_parser"] = sys.modules["yaml"] = None
from fleetward.contracts.codec import decode
from fleetward.contracts.rule_sets import RuleSet
from edge_bridge.rules.robot_rules import RobotRules
from edge_bridge.rules.settings import RuleSettings
rules = RobotRules("r1", RuleSettings(), Path("/nowhere"), print)
rules.hub_says(decode(Path(sys.argv[1]).read_bytes(), RuleSet), "")
print(rules.standing.rules, rules.standing.trouble, end="")
"""
    ended = subprocess.run(
        [sys.executable, "-c", without, tmp_path / "sent"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("4 ", 0), ended.stderr
