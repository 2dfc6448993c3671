"""Turns the rules of a directory into one rulebook, or refuses them all with the first reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import promql_parser

from fleetward.contracts.alerts import ROBOT_SILENT, Severity
from fleetward.contracts.ids import ALERT_NAME_PATTERN, AlertName
from fleetward.contracts.rule_sets import MAX_RULES
from fleetward.rules.expressions import UnsupportedExpressionError, compile_expression
from fleetward.rules.rule_files import (
    Empty,
    GroupText,
    Place,
    PlacedRule,
    RuleFileError,
    content_of,
    read_rules,
    rule_file_paths,
)
from fleetward.rules.rulebook import Rule, Rulebook
from fleetward.rules.templates import Template, UnsupportedTemplateError, compile_template


def load_rulebook(directory: Path) -> Rulebook:
    """Every rule of ``*.yml`` and ``*.yaml`` in a directory; raises RuleFileError."""
    files = rule_file_paths(directory)
    return compile_rulebook((path.name, content_of(path)) for path in files)


def compile_rulebook(files: Iterable[tuple[str, bytes]]) -> Rulebook:
    """The rules of (file name, content) pairs; raises RuleFileError."""
    rules: dict[AlertName, Rule] = {}
    for name, content in files:
        for placed in read_rules(name, content):
            rule = compile_rule(placed)
            if rule.alert in rules or rule.alert == ROBOT_SILENT:
                raise placed.place.refused(
                    f"an alert {rule.alert} exists already",
                    "give it its own name: incidents are counted per robot and alert",
                )
            rules[rule.alert] = rule
            if len(rules) > MAX_RULES:
                raise placed.place.refused(f"more than {MAX_RULES} rules", "use fewer")
    return Rulebook(tuple(rules.values()))


def compile_rule(placed: PlacedRule) -> Rule:
    """One alerting rule, ready to evaluate; raises RuleFileError."""
    place, text = placed.place, placed.rule
    _refuse_unevaluated(place, text.record, placed.group)
    labels = _mapping(placed.group.labels) | _mapping(text.labels)
    try:
        return Rule(
            alert=_alert_name(place, text.alert),
            expression=compile_expression(text.expr),
            text=" ".join(text.expr.split()),
            for_ns=_duration_ns(place, "for", text.for_),
            keep_firing_for_ns=_duration_ns(place, "keep_firing_for", text.keep_firing_for),
            severity=_severity(place, labels),
            labels=_templates(labels),
            annotations=_templates(_mapping(text.annotations)),
        )
    except (UnsupportedExpressionError, UnsupportedTemplateError) as error:
        raise RuleFileError(f"{place}: {error}") from error


def _refuse_unevaluated(place: Place, record: str, group: GroupText) -> None:
    if record:
        raise place.refused("recording rules are not evaluated here", "remove the rule")
    if group.query_offset:
        raise place.refused("'query_offset' has no meaning on live samples", "remove it")
    if group.limit not in {"", "0"}:
        raise place.refused("'limit' is not applied here", "remove it")


def _alert_name(place: Place, name: str) -> AlertName:
    if re.match(ALERT_NAME_PATTERN, name) is None:
        raise place.refused(
            f"the alert's name {name!r} cannot be part of a subject",
            "use letters, digits and '_', beginning with a letter",
        )
    return AlertName(name)


def _severity(place: Place, labels: dict[str, str]) -> Severity:
    """The label ``severity``; other words than ours (such as ``page``) count as a warning.

    Only a literal ``critical`` can halt a rollout, so it may not come out of a template.
    """
    word = labels.get("severity", Severity.WARNING.value)
    if "{{" in word:
        raise place.refused("the label 'severity' cannot be a template", "write one word")
    return Severity(word) if word in {one.value for one in Severity} else Severity.WARNING


def _duration_ns(place: Place, key: str, text: str) -> int:
    if text in {"", "0", "0s"}:
        return 0
    try:
        duration = promql_parser.parse_duration(text)
    except ValueError as error:
        raise place.refused(f"{key}: {error}", "write a duration such as 30s or 5m") from error
    return duration // timedelta(microseconds=1) * 1000


def _mapping(labels: dict[str, str] | Empty) -> dict[str, str]:
    return labels or {}


def _templates(texts: dict[str, str]) -> dict[str, Template]:
    return {key: compile_template(text) for key, text in texts.items()}
