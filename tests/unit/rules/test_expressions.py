"""What is supported computes what PromQL says; what is not is refused by its name."""

from __future__ import annotations

import math

import pytest

from fleetward.rules.expressions import (
    ExpressionSyntaxError,
    UnsupportedExpressionError,
    compile_expression,
    translate,
)
from fleetward.rules.expressions import parse as parsed
from fleetward.rules.templates import UnsupportedTemplateError, compile_template
from fleetward.rules.vectors import Moment, vector
from fleetward.rules.windows import MAX_SERIES_PER_METRIC, RobotSamples

SECOND_NS = 10**9

REFUSED = {
    "x offset 5m > 1": "'offset'",
    "x @ 100 > 1": "'@'",
    "max_over_time(x[5m:1m]) > 1": "a subquery",
    "topk(3, x) > 1": "topk()",
    "count_values('v', x) > 1": "count_values()",
    "absent(x)": "RobotSilent",
    "deriv(x[5m]) > 1": "deriv()",
    "x atan2 y > 1": "'atan2'",
    "x * on(robot) group_left(q) y > 1": "group_left",
    "sum(x) > 1": "across robots",
    "sum without (robot) (x) > 1": "across robots",
    "x and on(site) y": "across robots",
    "x unless ignoring(robot) y": "across robots",
    "1": "a number",
    "1 > bool 2": "a number",
    '{site="a"} > 1': "does not name one metric",
    '{__name__=~"a|b"} > 1': "does not name one metric",
    'x{a="1" or b="2"} > 1': "'or' between label matchers",
    "rate(x[2h]) > 1": "a range of",
    "-" * 60 + "x": "nested",
    'x{a=~"' + "a" * 300 + '"} > 1': "a label pattern",
    "quantile_over_time(scalar(x), x[1m]) > 1": "scalar()",
}


@pytest.mark.parametrize(("text", "named"), REFUSED.items())
def test_what_is_not_evaluated_is_refused_by_its_name(text: str, named: str) -> None:
    with pytest.raises(UnsupportedExpressionError) as refused:
        compile_expression(text)
    assert named in str(refused.value)


@pytest.mark.parametrize("text", ["", "x >", "rate(x)", "nosuch(x)", "x" * 5000, 'x{a=~"("}'])
def test_what_is_not_promql_is_refused(text: str) -> None:
    with pytest.raises(ExpressionSyntaxError):
        compile_expression(text)


def samples() -> RobotSamples:
    """c counts 0, 10, .. 60 and is reset once; a and b are constant, b in two places."""
    kept = RobotSamples(dict.fromkeys("abc", 3600 * SECOND_NS))
    robot = ("robot", "r1")
    for second, value in enumerate([0, 10, 20, 5, 15, 25, 35]):
        kept.add("c", (robot,), second * SECOND_NS, value)
    kept.add("a", (robot,), 5 * SECOND_NS, 2.0)
    kept.add("b", (("place", "left"), robot), 5 * SECOND_NS, 3.0)
    kept.add("b", (("place", "right"), robot), 5 * SECOND_NS, 5.0)
    return kept


VALUES = {
    "a": [2.0],
    "a > 1": [2.0],
    "a > 2": [],
    "1 < a": [2.0],
    "a > bool 2": [0.0],
    "-a + 2 ^ 3 % 5": [1.0],
    "a / 0": [math.inf],
    'b{place="left"}': [3.0],
    'b{place!="left"}': [5.0],
    'b{place=~"l.*|x"}': [3.0],
    'b{place!~"l.*|x"}': [5.0],
    'b{place=~"lef"}': [],
    'b{nowhere=""}': [3.0, 5.0],
    "sum by (robot) (b)": [8.0],
    "avg by (robot) (b)": [4.0],
    "min without (place) (b)": [3.0],
    "max by (robot) (b)": [5.0],
    "count by (robot) (b)": [2.0],
    "quantile by (robot) (0.5, b)": [4.0],
    "a and on(robot) b": [2.0],
    "b unless on(robot) a": [],
    "b or a": [2.0, 3.0, 5.0],
    'a * on(robot) b{place="left"}': [6.0],
    "b > on(robot, place) b": [],
    "count_over_time(c[3s])": [3.0],
    "last_over_time(c[1s])": [35.0],
    "sum_over_time(c[2s])": [60.0],
    "avg_over_time(c[2s])": [30.0],
    "min_over_time(c[3500ms])": [5.0],
    "max_over_time(c[1h])": [35.0],
    "quantile_over_time(0.5, c[2s])": [30.0],
    "quantile_over_time(2, c[2s])": [math.inf],
    "increase(c[3s])": [30.0],
    "rate(c[3s])": [10.0],
    "rate(c[1s])": [],
    "count_over_time(c[500ms])": [1.0],
}


@pytest.mark.parametrize(("text", "expected"), VALUES.items())
def test_each_supported_construct_computes_what_promql_says(
    text: str, expected: list[float]
) -> None:
    moment = Moment(samples(), 6 * SECOND_NS, 300 * SECOND_NS)
    values = sorted(element.value for element in vector(translate(parsed(text)), moment))
    assert values == pytest.approx(expected)


def test_an_instant_sample_is_stale_after_the_lookback() -> None:
    expression = translate(parsed("a"))
    assert vector(expression, Moment(samples(), 304 * SECOND_NS, 300 * SECOND_NS))
    assert not vector(expression, Moment(samples(), 305 * SECOND_NS, 300 * SECOND_NS))


def test_a_robot_that_invents_labels_cannot_fill_the_memory() -> None:
    kept = RobotSamples({"a": SECOND_NS})
    for number in range(3 * MAX_SERIES_PER_METRIC):
        kept.add("a", (("robot", "r1"), ("x", str(number))), number, 1.0)
    moment = Moment(kept, 10**6, SECOND_NS)
    assert len(vector(translate(parsed("a")), moment)) == MAX_SERIES_PER_METRIC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{ $labels.robot }} at {{$value}}", "r1 at 0.1234"),
        ("{{ .Labels.robot }}{{ $labels.missing }}", "r1"),
        ("{{ $value | humanizePercentage }}", "12.34%"),
        ("{{ $value | humanizeDuration }}", "123.4ms"),
        ('{{ printf "%.1f" $value }}', "0.1"),
        ('{{ $value | printf "%.2f" }}', "0.12"),
    ],
)
def test_templates_are_expanded(text: str, expected: str) -> None:
    assert compile_template(text).expand({"robot": "r1"}, 0.1234) == expected


@pytest.mark.parametrize("text", ["{{ query }}", "{{ range .x }}", "{{ $value | title }}"])
def test_templates_that_are_not_expanded_are_refused(text: str) -> None:
    with pytest.raises(UnsupportedTemplateError, match="is not expanded here"):
        compile_template(text)
