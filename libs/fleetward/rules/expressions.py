"""PromQL text to our tree; whatever we would not evaluate exactly is refused, by name.

Parsing is promql-parser's (the Rust grammar of Prometheus). Robots are judged one by one, so an
expression must keep the ``robot`` label: a sum over the whole fleet belongs to no robot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import promql_parser as parser

from fleetward.contracts.errors import FleetwardError
from fleetward.rules.promql import (
    MAX_DEPTH,
    MAX_PATTERN_CHARACTERS,
    MAX_RANGE_NS,
    METRIC_LABEL,
    ROBOT_LABEL,
    Aggregation,
    Arithmetic,
    Comparison,
    Expression,
    Instant,
    Matcher,
    Matching,
    MatchOperator,
    Number,
    Range,
    Selector,
    SetOperation,
    anchored,
)
from fleetward.rules.ranges import AGGREGATIONS, QUANTILE, QUANTILE_OVER_TIME, RANGE_FUNCTIONS
from fleetward.rules.vectors import ARITHMETIC, COMPARISONS, SET_OPERATORS

MAX_EXPRESSION_CHARACTERS = 4096
"""The parser recurses in native code: 20,000 nested signs overflow its stack."""
MAX_RANGE = timedelta(microseconds=MAX_RANGE_NS // 1000)

_MATCH_OPERATORS = {
    str(parser.MatchOp.Equal): MatchOperator.EQUAL,
    str(parser.MatchOp.NotEqual): MatchOperator.NOT_EQUAL,
    str(parser.MatchOp.Re): MatchOperator.MATCHES,
    str(parser.MatchOp.NotRe): MatchOperator.MATCHES_NOT,
}
"""By name: the parser's enums have no hash."""


class ExpressionSyntaxError(FleetwardError):
    """Not PromQL at all."""


class UnsupportedExpressionError(FleetwardError):
    """PromQL, but with a construct that alerting does not evaluate; the message names it."""


def parse(text: str) -> parser.Expr:
    """The syntax tree of ``text``; raises ExpressionSyntaxError."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise ExpressionSyntaxError(
            f"the expression has {len(text)} characters, the limit is {MAX_EXPRESSION_CHARACTERS}. "
            "Split the rule."
        )
    try:
        return parser.parse(text)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ExpressionSyntaxError(f"{text.strip()!r} is not PromQL: {reason}.") from error


def compile_expression(text: str) -> Expression:
    """The tree of an alert's expression.

    Raises ExpressionSyntaxError or UnsupportedExpressionError.
    """
    compiled = translate(parse(text))
    if is_scalar(compiled):
        raise UnsupportedExpressionError(
            f"{text.strip()!r} is a number and belongs to no robot. Compare a metric instead."
        )
    _refuse_lost_robot(compiled)
    return compiled


def translate(node: parser.Expr, depth: int = 0) -> Expression:
    """Our tree of a syntax tree; raises UnsupportedExpressionError."""
    if depth > MAX_DEPTH:
        raise _unsupported(f"an expression nested more than {MAX_DEPTH} deep")
    match node:
        case parser.ParenExpr():
            return translate(node.expr, depth + 1)
        case parser.NumberLiteral():
            return Number(float(node.val))
        case parser.UnaryExpr():
            return Arithmetic("*", Number(-1.0), translate(node.expr, depth + 1))
        case parser.VectorSelector():
            return Instant(_selector(node))
        case parser.Call():
            return _call(node)
        case parser.AggregateExpr():
            return _aggregation(node, depth)
        case parser.BinaryExpr():
            return _binary(node, depth)
        case _:
            raise _unsupported(_NAMES.get(type(node), type(node).__name__))


def is_scalar(expression: Expression) -> bool:
    """Whether the expression is a number rather than a vector."""
    match expression:
        case Number():
            return True
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return is_scalar(left) and is_scalar(right)
        case _:
            return False


_NAMES = {
    parser.SubqueryExpr: "a subquery",
    parser.StringLiteral: "a string",
    parser.MatrixSelector: "a range outside a function",
}


def _unsupported(construct: str) -> UnsupportedExpressionError:
    return UnsupportedExpressionError(
        f"{construct} is not evaluated here. Write the rule without it, or run it in Prometheus."
    )


def _call(node: parser.Call) -> Expression:
    name = node.func.name
    if name == QUANTILE_OVER_TIME:
        return _range(name, node.args[1], _parameter(name, node.args[0]))
    if name in RANGE_FUNCTIONS:
        return _range(name, node.args[0], None)
    if name.startswith("absent"):
        raise _unsupported(f"{name}() (a silent robot raises RobotSilent by itself)")
    raise _unsupported(f"the function {name}()")


def _range(name: str, node: parser.Expr, parameter: float | None) -> Range:
    if not isinstance(node, parser.MatrixSelector):
        raise _unsupported(f"{name}() over {_NAMES.get(type(node), type(node).__name__)}")
    if node.range > MAX_RANGE:
        raise _unsupported(f"a range of {node.range} (the limit is {MAX_RANGE})")
    range_ns = node.range // timedelta(microseconds=1) * 1000
    return Range(name, _selector(node.vector_selector), range_ns, parameter)


def _parameter(name: str, node: parser.Expr) -> float:
    value = translate(node)
    if not isinstance(value, Number):
        raise _unsupported(f"{name}() with anything but a plain number as its quantile")
    return value.value


def _selector(node: parser.VectorSelector) -> Selector:
    if node.offset is not None:
        raise _unsupported("the modifier 'offset'")
    if node.at is not None:
        raise _unsupported("the modifier '@'")
    if node.matchers.or_matchers:
        raise _unsupported("'or' between label matchers")
    matchers = [_matcher(one) for one in node.matchers.matchers]
    named = [one for one in matchers if one.label == METRIC_LABEL]
    metric = node.name or _only_name(named)
    return Selector(metric, tuple(one for one in matchers if one.label != METRIC_LABEL))


def _only_name(named: Sequence[Matcher]) -> str:
    if len(named) == 1 and named[0].operator is MatchOperator.EQUAL:
        return named[0].value
    raise _unsupported("a selector that does not name one metric")


def _matcher(matcher: parser.Matcher) -> Matcher:
    operator = _MATCH_OPERATORS[str(matcher.op)]
    if operator in {MatchOperator.MATCHES, MatchOperator.MATCHES_NOT}:
        _refuse_pattern(matcher.value)
    return Matcher(matcher.name, operator, matcher.value)


def _refuse_pattern(pattern: str) -> None:
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise _unsupported(f"a label pattern of more than {MAX_PATTERN_CHARACTERS} characters")
    try:
        anchored(pattern)
    except re.error as error:
        raise _unsupported(f"the label pattern {pattern!r} ({error})") from error


def _aggregation(node: parser.AggregateExpr, depth: int) -> Aggregation:
    name = str(node.op)
    if name not in AGGREGATIONS and name != QUANTILE:
        raise _unsupported(f"the aggregation {name}()")
    parameter = None if node.param is None else _parameter(name, node.param)
    grouping = Matching((), only=True)
    if node.modifier is not None:
        by = node.modifier.type == parser.AggModifierType.By
        grouping = Matching(tuple(node.modifier.labels), only=by)
    return Aggregation(name, translate(node.expr, depth + 1), grouping, parameter)


def _binary(node: parser.BinaryExpr, depth: int) -> Expression:
    name = str(node.op)
    left, right = translate(node.lhs, depth + 1), translate(node.rhs, depth + 1)
    matching = _matching(node.modifier)
    if name in ARITHMETIC:
        return Arithmetic(name, left, right, matching)
    if name in COMPARISONS:
        returns_bool = node.modifier is not None and node.modifier.return_bool
        return Comparison(name, left, right, matching, returns_bool)
    if name in SET_OPERATORS:
        return SetOperation(name, left, right, matching)
    raise _unsupported(f"the operator '{name}'")


def _matching(modifier: parser.BinModifier | None) -> Matching:
    if modifier is None:
        return Matching()
    if modifier.card in (
        parser.VectorMatchCardinality.ManyToOne,
        parser.VectorMatchCardinality.OneToMany,
    ):
        raise _unsupported("group_left or group_right")
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise _unsupported("the modifier 'fill'")
    if modifier.matching is None:
        return Matching()
    only = modifier.matching.type == parser.LabelModifierType.Include
    return Matching(tuple(modifier.matching.labels), only=only)


def _refuse_lost_robot(expression: Expression) -> None:
    match expression:
        case Aggregation(operand=operand, grouping=grouping, function=name):
            if not _keeps_robot(grouping):
                raise _unsupported(f"{name}() across robots (write 'by (robot)')")
            _refuse_lost_robot(operand)
        case Arithmetic() | Comparison() | SetOperation():
            if not _keeps_robot(expression.matching):
                raise _unsupported(f"'{expression.operator}' across robots (match on robot too)")
            for side in (expression.left, expression.right):
                _refuse_lost_robot(side)
        case _:
            return


def _keeps_robot(matching: Matching) -> bool:
    return (ROBOT_LABEL in matching.labels) is matching.only
