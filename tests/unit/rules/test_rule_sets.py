"""Rules that travelled to a robot are the rules that left, and what is not known there is named, not guessed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest

from fleetward.contracts.alerts import Severity
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import AlertName
from fleetward.contracts.rule_sets import MAX_RULES, CompiledRule, RuleSet
from fleetward.rules.compilation import compile_rulebook, load_rulebook
from fleetward.rules.expressions import compile_expression
from fleetward.rules.promql import Arithmetic, Expression, Instant, Number, Range, Selector
from fleetward.rules.rule_sets import (
    RuleNotKnownError,
    compiled,
    critical,
    digest_of,
    rule_in,
    understood,
)
from fleetward.rules.rulebook import Rule
from fleetward.rules.templates import Template, ValuePart

SHIPPED = Path(__file__).parents[3] / "libs" / "fleetward" / "rules" / "shipped_rules"
NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
EVERY_KIND = [
    'sum by (robot) (rate(model_inference_errors{site=~"berlin|kyoto", hw!~"x.*", a="b", c!="d"}[1m])) > 3',
    "quantile_over_time(0.5, a[3s]) > bool 0.1 and count_over_time(a[10s]) >= 4",
    "quantile without (x) (0.9, a) / ignoring(y) avg without (x) (b) % 2 ^ -1 unless on(robot) c or d",
    "-a < +Inf",
    "a == NaN or a > 1e308",
]


def rule(expression: Expression, **more: object) -> Rule:
    return Rule(alert=AlertName("Own"), expression=expression, text="own", **more)  # type: ignore[arg-type]


def sent(one: Rule) -> CompiledRule:
    return CompiledRule(alert=one.alert, compiled=encode(one))


def rule_set(*rules: CompiledRule) -> RuleSet:
    return RuleSet(revision=1, lookback_s=300.0, rules=rules, issued_at=NOON)


def test_every_shipped_rule_arrives_as_it_was_and_only_the_critical_ones_are_judged() -> None:
    rulebook = load_rulebook(SHIPPED)
    travelled = decode(encode(rule_set(*compiled(rulebook))), RuleSet)
    assert tuple(map(rule_in, travelled.rules)) == rulebook.rules
    known = understood(travelled)
    assert known.rulebook.rules == critical(rulebook).rules
    assert {each.severity for each in known.rulebook.rules} == {Severity.CRITICAL}
    assert known.faults == {}


@pytest.mark.parametrize("text", EVERY_KIND)
def test_every_kind_of_expression_arrives_as_it_was(text: str) -> None:
    left = rule(compile_expression(text))
    assert encode(rule_in(sent(left))) == encode(left)  # by their bytes: NaN is no NaN's equal
    assert type(rule_in(sent(left)).expression) is type(left.expression)


def test_the_same_rules_are_called_the_same_and_others_are_not() -> None:
    text = b"groups: [{name: g, rules: [{alert: A, expr: 'a > 1', labels: {severity: critical}}]}]"
    one, same = (compiled(compile_rulebook([("f", text)])) for _ in range(2))
    other = compiled(compile_rulebook([("f", text.replace(b"> 1", b"> 2"))]))
    assert digest_of(one, 300.0) == digest_of(same, 300.0)
    assert len({digest_of(one, 300.0), digest_of(other, 300.0), digest_of(one, 60.0)}) == 3


METRIC = Selector("a")
DEEP: Expression = Instant(METRIC)
for _ in range(60):
    DEEP = Arithmetic("+", DEEP, Number(1.0))


@pytest.mark.parametrize(
    ("unknown", "why"),
    [
        (rule(Range("deriv", METRIC, 10**9)), "the function 'deriv'"),
        (rule(Range("rate", METRIC, 10**15)), "a range of"),
        (rule(Arithmetic("atan2", Instant(METRIC), Number(1.0))), "the operator 'atan2'"),
        (rule(DEEP), "nested more than 50 deep"),
        (rule(Instant(METRIC), for_ns=-1), "below zero"),
        (rule(Instant(METRIC), labels={"a": Template((ValuePart("toUpper"),))}), "'toUpper'"),
    ],
)
def test_a_rule_that_is_not_known_here_is_named_and_the_others_are_judged(
    unknown: Rule, why: str
) -> None:
    with pytest.raises(RuleNotKnownError, match=why):
        rule_in(sent(unknown))
    other = msgspec.structs.replace(
        rule(Instant(METRIC)), alert=AlertName("Other"), severity=Severity.CRITICAL
    )
    known = understood(rule_set(sent(unknown), sent(other)))
    assert known.rulebook.rules == (other,)
    assert list(known.faults) == ["Own"]


@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        (b"\xa7Instant", b"\xa7Shifted"),  # a kind of expression of a newer hub
        (b"\xa6metric", b"\xa6offset"),  # a field of one
        (b"\xa4text", b"\xa4when"),
    ],
)
def test_what_a_newer_hub_adds_is_refused_and_not_left_out(was: bytes, is_now: bytes) -> None:
    plain = sent(rule(Instant(METRIC)))
    assert was in plain.compiled
    newer = CompiledRule(alert=plain.alert, compiled=plain.compiled.replace(was, is_now))
    with pytest.raises(RuleNotKnownError, match="Update the bridge"):
        rule_in(newer)


def test_a_rule_under_another_name_is_refused() -> None:
    renamed = CompiledRule(alert=AlertName("Other"), compiled=encode(rule(Instant(METRIC))))
    with pytest.raises(RuleNotKnownError, match="another rule"):
        rule_in(renamed)


def test_more_rules_than_there_may_be_are_not_taken() -> None:
    many = [
        sent(msgspec.structs.replace(rule(Instant(METRIC)), alert=AlertName(f"A{number}")))
        for number in range(MAX_RULES + 1)
    ]
    assert list(understood(rule_set(*many)).faults) == [f"A{MAX_RULES}"]
