"""Whether a compiled rule, which somebody else wrote, can be judged here as it is meant; pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from types import MappingProxyType

from typing_extensions import assert_never

from fleetward.rules.promql import (
    MAX_DEPTH,
    MAX_PATTERN_CHARACTERS,
    MAX_RANGE_NS,
    Aggregation,
    Arithmetic,
    Comparison,
    Expression,
    Instant,
    Matcher,
    MatchOperator,
    Number,
    Range,
    Selector,
    SetOperation,
    anchored,
    operands,
)
from fleetward.rules.ranges import AGGREGATIONS, QUANTILE, QUANTILE_OVER_TIME, RANGE_FUNCTIONS
from fleetward.rules.rulebook import Rule
from fleetward.rules.templates import FORMATS, PRECISION, Template, ValuePart
from fleetward.rules.vectors import ARITHMETIC, COMPARISONS, SET_OPERATORS

_OPERATORS: Mapping[type[Expression], Container[str]] = MappingProxyType(
    {Arithmetic: ARITHMETIC, Comparison: COMPARISONS, SetOperation: SET_OPERATORS}
)


def fault_in(rule: Rule) -> str | None:
    """The first thing in ``rule`` that is not known here, or past a bound; None: it can be judged."""
    return next(_faults(rule), None)


def _faults(rule: Rule) -> Iterator[str]:
    if min(rule.for_ns, rule.keep_firing_for_ns) < 0:
        yield "a duration below zero"
    yield from _below(rule.expression, 0)
    for template in (*rule.labels.values(), *rule.annotations.values()):
        yield from _unknown_formats(template)


def _below(expression: Expression, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"an expression nested more than {MAX_DEPTH} deep"
        return
    yield from _of(expression)
    for operand in operands(expression):
        yield from _below(operand, depth + 1)


def _of(expression: Expression) -> Iterator[str]:
    match expression:
        case Number():
            return
        case Instant(selector=selector):
            yield from _of_selector(selector)
        case Range(selector=selector, function=name, range_ns=range_ns):
            yield from _unless_known("function", name, {*RANGE_FUNCTIONS, QUANTILE_OVER_TIME})
            if not 0 < range_ns <= MAX_RANGE_NS:
                yield f"a range of {range_ns} ns"
            yield from _of_selector(selector)
        case Aggregation(function=name):
            yield from _unless_known("aggregation", name, {*AGGREGATIONS, QUANTILE})
        case Arithmetic() | Comparison() | SetOperation():
            known = _OPERATORS[type(expression)]
            yield from _unless_known("operator", expression.operator, known)
        case _:
            assert_never(expression)


def _unless_known(what: str, name: str, known: Container[str]) -> Iterator[str]:
    if name not in known:
        yield f"the {what} {name!r}"


def _of_selector(selector: Selector) -> Iterator[str]:
    for matcher in selector.matchers:
        if matcher.operator in {MatchOperator.MATCHES, MatchOperator.MATCHES_NOT}:
            yield from _of_pattern(matcher)


def _of_pattern(matcher: Matcher) -> Iterator[str]:
    if len(matcher.value) > MAX_PATTERN_CHARACTERS:
        yield f"a label pattern of more than {MAX_PATTERN_CHARACTERS} characters"
        return
    try:
        anchored(matcher.value)
    except re.error as error:
        yield f"the label pattern {matcher.value!r} ({error})"


def _unknown_formats(template: Template) -> Iterator[str]:
    for part in template.parts:
        if isinstance(part, ValuePart) and not (
            part.format in FORMATS or PRECISION.match(part.format)
        ):
            yield f"the format {part.format!r}"
