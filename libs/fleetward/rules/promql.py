"""The part of PromQL that alerting evaluates, as a tree of frozen nodes.

Whatever has no node here is refused when a rule file is loaded (expressions.py), so an
expression that loads is an expression that means what PromQL says. Trees travel to robots
(rule_sets.py): a node, or a field of one, that a reader does not know is refused, never left out.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from msgspec import Struct

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Label names and values, sorted by name: the identity of a series or an element."""

ROBOT_LABEL = "robot"
METRIC_LABEL = "__name__"
MAX_DEPTH = 50
MAX_PATTERN_CHARACTERS = 256
"""Python's ``re`` backtracks, so a label pattern is kept short."""
MAX_RANGE_NS = 3600 * 1_000_000_000


class Element(NamedTuple):
    """One member of an instant vector."""

    labels: Labels
    value: float


Vector: TypeAlias = list[Element]


class Node(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Whatever a tree is made of, and can be sent."""


class MatchOperator(enum.Enum):
    """How a label matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    MATCHES_NOT = "!~"


class Matcher(Node, frozen=True):
    """One condition on a label; a label that is missing reads as the empty string."""

    label: str
    operator: MatchOperator
    value: str

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether a series with these labels is selected, as far as this matcher goes."""
        actual = labels.get(self.label, "")
        match self.operator:
            case MatchOperator.EQUAL:
                return actual == self.value
            case MatchOperator.NOT_EQUAL:
                return actual != self.value
            case MatchOperator.MATCHES:
                return anchored(self.value).match(actual) is not None
            case MatchOperator.MATCHES_NOT:
                return anchored(self.value).match(actual) is None


class Selector(Node, frozen=True):
    """The series of one metric that satisfy every matcher."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def selects(self, labels: Labels) -> bool:
        """Whether a series of this metric with these labels belongs to the selection."""
        named = dict(labels)
        return all(matcher.holds(named) for matcher in self.matchers)


class Number(Node, frozen=True, tag=True):
    """A scalar."""

    value: float


class Instant(Node, frozen=True, tag=True):
    """The newest sample of each selected series, if it is younger than the lookback."""

    selector: Selector


class Range(Node, frozen=True, tag=True):
    """A function over the samples of each selected series in (at - range_ns, at].

    ``parameter`` is the quantile of quantile_over_time, otherwise None.
    """

    function: str
    selector: Selector
    range_ns: int
    parameter: float | None = None


class Matching(Node, frozen=True):
    """Which labels pair the elements of two vectors: only these, or all but these."""

    labels: tuple[str, ...] = ()
    only: bool = False

    def key(self, labels: Labels) -> Labels:
        """The part of ``labels`` that two elements must share to be a pair."""
        return tuple(pair for pair in labels if (pair[0] in self.labels) is self.only)


class Aggregation(Node, frozen=True, tag=True):
    """Elements of equal ``grouping`` folded into one."""

    function: str
    operand: Expression
    grouping: Matching
    parameter: float | None = None


class Arithmetic(Node, frozen=True, tag=True):
    """``+ - * / % ^`` between scalars, a scalar and a vector, or two vectors one to one."""

    operator: str
    left: Expression
    right: Expression
    matching: Matching = Matching()


class Comparison(Node, frozen=True, tag=True):
    """``== != > < >= <=``: filters, or with ``bool`` yields 0 and 1."""

    operator: str
    left: Expression
    right: Expression
    matching: Matching = Matching()
    returns_bool: bool = False


class SetOperation(Node, frozen=True, tag=True):
    """``and``, ``or`` and ``unless`` between two vectors."""

    operator: str
    left: Expression
    right: Expression
    matching: Matching = Matching()


Expression: TypeAlias = (
    Number | Instant | Range | Aggregation | Arithmetic | Comparison | SetOperation
)


class Reach(Struct, frozen=True):
    """How far back one metric is read: ``range_ns`` 0 means only its newest sample."""

    metric: str
    range_ns: int


def operands(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly below this one."""
    match expression:
        case Aggregation(operand=operand):
            return (operand,)
        case Arithmetic() | Comparison() | SetOperation():
            return (expression.left, expression.right)
        case _:
            return ()


def reaches(expression: Expression) -> tuple[Reach, ...]:
    """Every metric the expression reads, with how far back."""
    match expression:
        case Instant(selector=selector):
            return (Reach(selector.metric, 0),)
        case Range(selector=selector, range_ns=range_ns):
            return (Reach(selector.metric, range_ns),)
        case _:
            return tuple(reach for below in operands(expression) for reach in reaches(below))


@lru_cache(maxsize=1024)
def anchored(pattern: str) -> re.Pattern[str]:
    """A matcher's regular expression, anchored at both ends as PromQL wants it."""
    return re.compile(f"(?s:{pattern})\\Z")
