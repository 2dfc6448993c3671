"""The selector language: which robots, by their labels.

Grammar: ``all`` or an expression of ``label=value``, ``label!=value``, ``label in (a, b)``,
``not``, ``and``, ``or`` and parentheses; ``not`` binds tightest, then ``and``, then ``or``.
The label ``robot`` is the robot's own id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from fleetward.contracts.errors import MalformedError

Matcher = Callable[[Mapping[str, str]], bool]

MAX_SELECTOR_CHARACTERS = 4096
MAX_DEPTH = 50

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z0-9_.\-/]+)|(?P<sign>!=|=|\(|\)|,))")
_KEYWORDS = frozenset({"and", "or", "not", "in", "all"})


class SelectorError(MalformedError):
    """A selector that cannot be read; the message points at the place."""

    def __init__(self, selector: str, position: int, problem: str) -> None:
        pointer = f"{selector}\n{' ' * position}^"
        super().__init__(
            f"the selector is not valid at column {position + 1}: {problem}.\n{pointer}\n"
            "Write for example: all, or site=berlin and hw in (orin-nx, thor) and not tag=demo."
        )
        self.position = position


def parse_selector(text: str) -> Matcher:
    """A function from a robot's labels to whether it is selected; raises SelectorError."""
    if len(text) > MAX_SELECTOR_CHARACTERS:
        raise SelectorError(text[:40], 0, f"it is longer than {MAX_SELECTOR_CHARACTERS} characters")
    parser = _Parser(text)
    matcher = parser.either()
    parser.expect_end()
    return matcher


class _Parser:
    """Recursive descent over the tokens, remembering where each began."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def either(self) -> Matcher:
        sides = [self._both()]
        while self._take("or"):
            sides.append(self._both())
        return sides[0] if len(sides) == 1 else lambda labels: any(side(labels) for side in sides)

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            raise self._error("expected 'and', 'or' or the end")

    def _both(self) -> Matcher:
        sides = [self._unary()]
        while self._take("and"):
            sides.append(self._unary())
        return sides[0] if len(sides) == 1 else lambda labels: all(side(labels) for side in sides)

    def _unary(self) -> Matcher:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}")
        try:
            if self._take("not"):
                inner = self._unary()
                return lambda labels: not inner(labels)
            if self._take("("):
                inner = self.either()
                self._expect(")")
                return inner
            if self._take("all"):
                return lambda labels: True
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Matcher:
        label = self._word("a label")
        if self._take("="):
            wanted = self._word("a value")
            return lambda labels: labels.get(label) == wanted
        if self._take("!="):
            unwanted = self._word("a value")
            return lambda labels: labels.get(label) != unwanted
        if self._take("in"):
            values = self._values()
            return lambda labels: labels.get(label) in values
        raise self._error(f"expected '=', '!=' or 'in' after {label!r}")

    def _values(self) -> frozenset[str]:
        self._expect("(")
        values = {self._word("a value")}
        while self._take(","):
            values.add(self._word("a value"))
        self._expect(")")
        return frozenset(values)

    def _word(self, what: str) -> str:
        token = self._peek()
        if token is None or token in _KEYWORDS or not token[0].isalnum():
            raise self._error(f"expected {what}")
        self._next += 1
        return token

    def _peek(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(f"expected {token!r}")

    def _error(self, problem: str) -> SelectorError:
        ended = self._next >= len(self._tokens)
        position = len(self._text) if ended else self._tokens[self._next][1]
        return SelectorError(self._text, position, problem)


def _tokens(text: str) -> list[tuple[str, int]]:
    """Each token with the column where it begins."""
    found: list[tuple[str, int]] = []
    end = len(text.rstrip())
    position = 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise SelectorError(text, start, f"{text[start]!r} is not understood")
        group = match.lastgroup or "word"
        found.append((match[group], match.start(group)))
        position = match.end()
    return found
