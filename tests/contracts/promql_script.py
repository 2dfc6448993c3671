"""Runs Prometheus' PromQL test scripts (load, eval instant, clear) on our evaluator.

Evaluations that use what we refuse, or series we do not have (histograms, staleness markers),
are counted as refused and never compared.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta

import promql_parser

from fleetward.rules.expressions import (
    ExpressionSyntaxError,
    UnsupportedExpressionError,
    parse,
    translate,
)
from fleetward.rules.promql import Labels, reaches
from fleetward.rules.vectors import AmbiguousMatchError, Moment, evaluate
from fleetward.rules.windows import RobotSamples

LOOKBACK_NS = 300 * 10**9
KEEP_NS = 10**18

_EXPANSION = re.compile(r"\A(-?[\d.eE]+|-?Inf|NaN)(?:([+-][\d.eE]+))?x(\d+)\Z")
_SERIES = re.compile(r"\A([\w:]+)\s*(\{[^{}]*\})?\s+(.*)\Z")
_LABEL = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
_DURATION = re.compile(r"\A(\d+(?:\.\d+)?)\Z")


class _EveryMetric(dict[str, int]):
    def get(self, key: str, default: object = None) -> int:
        return KEEP_NS


class Script:
    """One script; after ``run``, how it went."""

    def __init__(self, text: str) -> None:
        self._lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
        self.compared = 0
        self.refused = 0
        self.differences: list[str] = []
        self._clear()

    def run(self) -> None:
        """Run every command."""
        number = 0
        while number < len(self._lines):
            line, body = self._lines[number], []
            number += 1
            while number < len(self._lines) and self._lines[number][:1] in {" ", "\t"}:
                body.append(self._lines[number].strip())
                number += 1
            self._command(line.strip(), [one for one in body if one])

    def _command(self, line: str, body: list[str]) -> None:
        words = line.split()
        if not words:
            return
        if words[0] == "clear":
            self._clear()
        elif words[0] == "load":
            for series in body:
                self._load(_duration_ns(words[1]), series)
        elif words[:3] == ["eval", "instant", "at"] and not any(
            one.startswith("expect") for one in body
        ):
            self._compare(line.split(None, 4)[4], _duration_ns(words[3]), body)
        else:
            self.refused += 1

    def _clear(self) -> None:
        self._samples = RobotSamples(_EveryMetric())
        self._missing: set[str] = set()

    def _load(self, step_ns: int, line: str) -> None:
        metric, head, tail = _SERIES.match(line).groups()  # type: ignore[union-attr]  # or the test fails
        labels = _labels(head or "")
        values = [] if "{{" in tail or "stale" in tail else _values(tail.split())
        if not values:
            self._missing.add(metric)
        for position, value in enumerate(values):
            if value is not None:
                self._samples.add(metric, labels, position * step_ns, value)

    def _compare(self, text: str, at_ns: int, expected: list[str]) -> None:
        try:
            expression = translate(parse(text))
            if {reach.metric for reach in reaches(expression)} & self._missing:
                raise UnsupportedExpressionError("a series that could not be loaded")
            got = evaluate(expression, Moment(self._samples, at_ns, LOOKBACK_NS))
        except (ExpressionSyntaxError, UnsupportedExpressionError, AmbiguousMatchError):
            self.refused += 1
            return
        self.compared += 1
        actual: dict[Labels, float] = {(): got} if isinstance(got, float) else dict(got)
        wanted = dict(_expected(line) for line in expected)
        if not _same(actual, wanted):
            self.differences.append(f"{text} at {at_ns}: {actual} instead of {wanted}")


def _labels(text: str) -> Labels:
    pairs = dict(_LABEL.findall(text))
    pairs.pop("__name__", None)
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


def _expected(line: str) -> tuple[Labels, float]:
    head, _, value = line.rpartition(" ")
    return _labels(head), float(value)


def _values(words: list[str]) -> list[float | None]:
    values: list[float | None] = []
    for word in words:
        if word == "_":
            values.append(None)
        elif found := _EXPANSION.match(word):
            first, step = float(found[1]), float(found[2] or 0)
            values += [first + step * turn for turn in range(int(found[3]) + 1)]
        else:
            values.append(float(word))
    return values


def _duration_ns(text: str) -> int:
    if _DURATION.match(text):
        return int(float(text) * 10**9)
    if text.rstrip("smh") == "0":
        return 0
    duration: timedelta = promql_parser.parse_duration(text)
    return duration // timedelta(microseconds=1) * 1000


def _same(actual: dict[Labels, float], wanted: dict[Labels, float]) -> bool:
    return actual.keys() == wanted.keys() and all(
        math.isclose(actual[key], wanted[key], rel_tol=1e-9, abs_tol=1e-12)
        or (math.isnan(actual[key]) and math.isnan(wanted[key]))
        for key in wanted
    )
