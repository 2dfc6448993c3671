"""Prometheus' own cases hold here: its rule files load or are refused, its PromQL gives its values.

The cases are read from a checkout of Prometheus' data beside the repository where there is one;
the cases written out in this file always run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleetward.contracts.alerts import Severity
from fleetward.contracts.robot_keys import RENEWAL_SHARE, SPREAD_SHARE
from fleetward.contracts.signals import LATENCY_BUDGETS_S, SIGNALS
from fleetward.rules.compilation import compile_rulebook, load_rulebook
from fleetward.rules.rule_files import RuleFileError, read_rules
from tests.contracts.promql_script import Script

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT.parent / "shared" / "data" / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rulefmt").glob("*.yaml"))

DEVIATIONS = {
    "legacy_validation_annotation.bad.yaml": "label names are UTF-8, as in Prometheus 3",
    "test_aliases.yaml": "YAML aliases are refused",
}

needs_prometheus = pytest.mark.skipif(not RULE_FILES, reason="no Prometheus data beside us")


@needs_prometheus
@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_prometheus_rule_files_load_or_are_refused_as_there(path: Path) -> None:
    good = not path.name.endswith(".bad.yaml")
    expected = good is (path.name not in DEVIATIONS)  # a deviation turns the verdict round
    if expected:
        read_rules(path.name, path.read_bytes())
    else:
        with pytest.raises(RuleFileError, match=re.escape(path.name)):
            read_rules(path.name, path.read_bytes())


@needs_prometheus
@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("aggregators.test", 30),
        ("collision.test", 0),
        ("literals.test", 5),
        ("selectors.test", 15),
        ("staleness.test", 4),
    ],
)
def test_prometheus_expressions_give_prometheus_values(name: str, at_least: int) -> None:
    script = Script((PROMETHEUS / "promqltest" / name).read_text())
    script.run()
    assert script.differences == []
    assert script.compared >= at_least


OWN_CASES = {
    "groups: [{name: g, rules: [{alert: A, expr: rate(x) > 1}]}]": "group 'g', rule 1 (A): expr:",
    "groups: [{name: g, rules: [{alert: A, expr: 'x >'}]}]": "is not PromQL",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, annotation: {}}]}]": "`annotation`",
    "groups: [{name: g}, {name: g}]": "used twice",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1}, {expr: x > 1}]}]": "group 'g', rule 2:",
    "groups: [{name: g, rules: [{alert: A}]}]": "`expr`",
    "groups: [{name: g, rules: [{alert: A, record: b, expr: x}]}]": "either an alert or a record",
    "groups: [{name: g, rules: [{record: b, expr: x, for: 1m}]}]": "'for'",
    "groups: [{name: g, rules: [{record: 'b c', expr: x}]}]": "metric's name",
    "groups: [{name: g, rules: [{record: b, expr: x}]}]": "recording rules",
    "groups: [{name: g, limit: 3, rules: [{alert: A, expr: x > 1}]}]": "'limit'",
    "groups: [{name: g, query_offset: 1m, rules: [{alert: A, expr: x > 1}]}]": "'query_offset'",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, for: soon}]}]": "30s or 5m",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, labels: {__name__: y}}]}]": "'__name__'",
    "groups: [{name: g, rules: [{alert: A b, expr: x > 1}]}]": "cannot be part of a subject",
    "groups: [{name: g, rules: [{alert: RobotSilent, expr: x > 1}]}]": "exists already",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1}, {alert: A, expr: x > 2}]}]": "exists",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, expr: x > 2}]}]": "stands here twice",
    "groups: [&g {name: g}, *g]": "anchors and aliases",
    "groups: {name: g}": "expected",
    "- groups": "Expected `object`",
    "groups: [": "not readable as YAML",
    "groups: [{name: g, rules: [{alert: A, expr: sum(x) > 1}]}]": "by (robot)",
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, labels: {severity: '{{ $value }}'}}]}]": (
        "cannot be a template"
    ),
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, annotations: {s: '{{ query }}'}}]}]": (
        "{{ query }}"
    ),
    "groups: [{name: g, rules: [{alert: A, expr: x > 1, annotations: {record_after_s: 30s}}]}]": (
        "number of seconds from 0 to 600"
    ),
}


@pytest.mark.parametrize(("text", "why"), OWN_CASES.items())
def test_a_bad_rule_file_is_refused_with_its_place_and_reason(text: str, why: str) -> None:
    with pytest.raises(RuleFileError) as refused:
        compile_rulebook([("own.yml", text.encode())])
    assert "own.yml" in str(refused.value)
    assert why.lower() in str(refused.value).lower()


def test_empty_files_and_empty_groups_are_no_error() -> None:
    for text in (
        "",
        "groups:",
        "groups: []",
        "groups: [{name: g}]",
        "groups: [{name: g, rules: }]",
    ):
        assert compile_rulebook([("own.yml", text.encode())]).rules == ()


def test_a_billion_laughs_are_refused_before_they_are_told() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20)
    )
    with pytest.raises(RuleFileError, match="anchors and aliases"):
        read_rules("bomb.yml", bomb.encode())


def test_the_shipped_rules_cover_every_budget_and_read_only_known_signals() -> None:
    book = load_rulebook(ROOT / "libs" / "fleetward" / "rules" / "shipped_rules")
    metrics = {signal.name: signal.metric for signal in SIGNALS}
    assert set(book.keep_ns) <= set(metrics.values())
    for name, budget_s in LATENCY_BUDGETS_S.items():
        (rule,) = [rule for rule in book.rules if metrics[name] in rule.metrics]
        assert f"> {budget_s:g}" in rule.text
    critical = {rule.alert for rule in book.rules if rule.severity is Severity.CRITICAL}
    assert critical == {"InferenceOverBudget", "InferenceErrors"}


def test_the_shipped_rules_warn_of_the_zone_that_is_nearly_too_hot_and_of_no_other() -> None:
    path = ROOT / "libs" / "fleetward" / "rules" / "shipped_rules" / "fleetward.yml"
    placed = read_rules(path.name, path.read_bytes())
    (expression,) = [each.rule.expr for each in placed if each.rule.alert == "MachineNearlyTooHot"]
    script = Script(
        f"""
load 10s
  hw_temperature_celsius{{robot="r1",hw_id="cpu-thermal"}} 100x6
  hw_temperature_celsius{{robot="r1",hw_id="gpu-thermal"}} 60x6
  hw_temperature_celsius{{robot="r1",hw_id="tj-thermal"}} 100x6
  hw_temperature_limit_celsius{{robot="r1",hw_id="cpu-thermal"}} 104.5x6
  hw_temperature_limit_celsius{{robot="r1",hw_id="gpu-thermal"}} 104.5x6
eval instant at 1m {" ".join(expression.split())}
  {{robot="r1",hw_id="cpu-thermal"}} 100
"""
    )
    script.run()
    assert script.differences == []
    assert script.compared == 1


def test_the_shipped_rules_warn_of_credentials_that_should_have_been_renewed() -> None:
    path = ROOT / "libs" / "fleetward" / "rules" / "shipped_rules" / "fleetward.yml"
    placed = read_rules(path.name, path.read_bytes())
    (expression,) = [each.rule.expr for each in placed if each.rule.alert == "CredentialsEndSoon"]
    latest = 1 - RENEWAL_SHARE - SPREAD_SHARE
    script = Script(
        f"""
load 5m
  robot_credential_life_left{{robot="due"}} {latest}x6
  robot_credential_life_left{{robot="overdue"}} 0.29x6
eval instant at 30m {expression}
  {{robot="overdue"}} 0.29
"""
    )
    script.run()
    assert script.differences == []
    assert script.compared == 1


def test_the_shipped_rules_warn_of_recordings_that_are_lost_and_of_an_outbox_that_fills() -> None:
    path = ROOT / "libs" / "fleetward" / "rules" / "shipped_rules" / "fleetward.yml"
    placed = {each.rule.alert: each.rule.expr for each in read_rules(path.name, path.read_bytes())}
    script = Script(
        f"""
load 1m
  recording_messages_lost{{robot="loses",recording_kind="recording"}} 0 0 0 0 7 7
  recording_messages_lost{{robot="lost before",recording_kind="logs"}} 7x5
  recording_outbox_utilization{{robot="fills",recording_kind="logs"}} 0.9x5
  recording_outbox_utilization{{robot="sends",recording_kind="logs"}} 0.1x5
eval instant at 5m {placed["RecordingsWait"]}
  {{robot="fills",recording_kind="logs"}} 0.9
eval instant at 5m {placed["RecordingsLost"]}
  {{robot="loses",recording_kind="recording"}} 7
"""
    )
    script.run()
    assert script.differences == []
    assert script.compared == 2
