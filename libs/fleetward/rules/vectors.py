"""Evaluates an expression on one robot's samples at one instant of event time."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from typing_extensions import assert_never

from fleetward.contracts.errors import FleetwardError
from fleetward.rules.promql import (
    Aggregation,
    Arithmetic,
    Comparison,
    Element,
    Expression,
    Instant,
    Labels,
    Matching,
    Number,
    Range,
    SetOperation,
    Vector,
)
from fleetward.rules.ranges import (
    AGGREGATIONS,
    QUANTILE,
    QUANTILE_OVER_TIME,
    RANGE_FUNCTIONS,
    Window,
    quantile,
)
from fleetward.rules.windows import RobotSamples


class AmbiguousMatchError(FleetwardError):
    """Two elements of one side would pair with the same element of the other."""


class Moment:
    """What an evaluation reads: a robot's samples, at an instant, with a lookback."""

    __slots__ = ("at_ns", "lookback_ns", "samples")

    def __init__(self, samples: RobotSamples, at_ns: int, lookback_ns: int) -> None:
        self.samples = samples
        self.at_ns = at_ns
        self.lookback_ns = lookback_ns


def evaluate(expression: Expression, moment: Moment) -> Vector | float:
    """The expression's value; raises AmbiguousMatchError."""
    match expression:
        case Number(value=value):
            return value
        case Instant():
            return _instant(expression, moment)
        case Range():
            return _range(expression, moment)
        case Aggregation():
            return _aggregate(expression, moment)
        case Arithmetic():
            return _arithmetic(expression, moment)
        case Comparison():
            return _compare(expression, moment)
        case SetOperation():
            return _set_operation(expression, moment)
        case _:
            assert_never(expression)


def vector(expression: Expression, moment: Moment) -> Vector:
    """The value of an expression that is known to be a vector."""
    value = evaluate(expression, moment)
    return [Element((), value)] if isinstance(value, float) else value


def _instant(expression: Instant, moment: Moment) -> Vector:
    found: Vector = []
    for series in moment.samples.select(expression.selector):
        value = series.latest(moment.at_ns, moment.lookback_ns)
        if value is not None:
            found.append(Element(series.labels, value))
    return found


def _range(expression: Range, moment: Moment) -> Vector:
    found: Vector = []
    for series in moment.samples.select(expression.selector):
        window = series.window(moment.at_ns, expression.range_ns)
        value = None if window is None else _over(expression, window)
        if value is not None:
            found.append(Element(series.labels, value))
    return found


def _over(expression: Range, window: Window) -> float | None:
    if expression.function == QUANTILE_OVER_TIME:
        return quantile(expression.parameter or 0.0, window.values)
    return RANGE_FUNCTIONS[expression.function](window)


def _aggregate(expression: Aggregation, moment: Moment) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector(expression.operand, moment):
        groups.setdefault(expression.grouping.key(labels), []).append(value)
    return [Element(labels, _fold(expression, values)) for labels, values in groups.items()]


def _fold(expression: Aggregation, values: list[float]) -> float:
    if expression.function == QUANTILE:
        return quantile(expression.parameter or 0.0, values)
    return AGGREGATIONS[expression.function](values)


def _arithmetic(expression: Arithmetic, moment: Moment) -> Vector | float:
    left, right = evaluate(expression.left, moment), evaluate(expression.right, moment)
    compute = ARITHMETIC[expression.operator]
    if isinstance(left, float):
        if isinstance(right, float):
            return compute(left, right)
        return [Element(labels, compute(left, value)) for labels, value in right]
    if isinstance(right, float):
        return [Element(labels, compute(value, right)) for labels, value in left]
    return [
        Element(labels, compute(one, other))
        for labels, one, other in _pairs(left, right, expression.matching)
    ]


def _compare(expression: Comparison, moment: Moment) -> Vector | float:
    left, right = evaluate(expression.left, moment), evaluate(expression.right, moment)
    holds = COMPARISONS[expression.operator]
    if isinstance(left, float) and isinstance(right, float):
        return float(holds(left, right))
    kept: Vector = []
    for labels, value, one, other in _compared(left, right, expression.matching):
        if expression.returns_bool:
            kept.append(Element(labels, float(holds(one, other))))
        elif holds(one, other):
            kept.append(Element(labels, value))
    return kept


def _compared(
    left: Vector | float, right: Vector | float, matching: Matching
) -> list[tuple[Labels, float, float, float]]:
    """(labels, the value to keep, left operand, right operand) for every element."""
    if isinstance(right, float):
        return [(labels, value, value, right) for labels, value in _as_vector(left)]
    if isinstance(left, float):
        return [(labels, value, left, value) for labels, value in right]
    return [(labels, one, one, other) for labels, one, other in _pairs(left, right, matching)]


def _as_vector(value: Vector | float) -> Vector:
    return [Element((), value)] if isinstance(value, float) else value


def _set_operation(expression: SetOperation, moment: Moment) -> Vector:
    left, right = vector(expression.left, moment), vector(expression.right, moment)
    key = expression.matching.key
    if expression.operator == "or":
        on_left = {key(element.labels) for element in left}
        return left + [element for element in right if key(element.labels) not in on_left]
    on_right = {key(element.labels) for element in right}
    wanted = expression.operator == "and"
    return [element for element in left if (key(element.labels) in on_right) is wanted]


def _pairs(left: Vector, right: Vector, matching: Matching) -> list[tuple[Labels, float, float]]:
    others = _by_key(right, matching)
    matched = [element for element in left if matching.key(element.labels) in others]
    return [
        (key, element.value, others[key].value)
        for key, element in _by_key(matched, matching).items()
    ]


def _by_key(elements: Vector, matching: Matching) -> dict[Labels, Element]:
    keyed: dict[Labels, Element] = {}
    for element in elements:
        key = matching.key(element.labels)
        if key in keyed:
            raise AmbiguousMatchError(
                f"{dict(keyed[key].labels)} and {dict(element.labels)} are the same to this "
                "operator. Aggregate one side first, or match on more labels."
            )
        keyed[key] = element
    return keyed


def _divide(one: float, other: float) -> float:
    if other == 0:
        return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one)
    return one / other


def _modulo(one: float, other: float) -> float:
    return math.nan if other == 0 or math.isinf(one) else math.fmod(one, other)


def _power(one: float, other: float) -> float:
    try:
        return math.pow(one, other)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": _power,
}

SET_OPERATORS = ("and", "or", "unless")

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
