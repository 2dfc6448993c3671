"""The selector language: which robots, by their labels and by what they say of themselves.

Grammar: ``all`` or an expression of ``fact``, ``fact=value``, ``fact!=value``, ``fact in (a, b)``,
``fact<number`` (also ``<=``, ``>``, ``>=``), ``not``, ``and``, ``or`` and parentheses; ``not`` binds
tightest, then ``and``, then ``or``. What is no plain word stands in double quotes. Which facts there
are says ``fleetward.contracts.fleet_facts``, what holds ``fleetward.contracts.selector_terms``.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from msgspec import Struct

from fleetward.contracts.errors import MalformedError
from fleetward.contracts.selector_terms import (
    KEYWORDS,
    WORD,
    Both,
    Compared,
    Differs,
    Either,
    Equals,
    Everybody,
    Facts,
    Not,
    OneOf,
    Stated,
    Term,
    holds,
    number,
    written,
)

MAX_SELECTOR_CHARACTERS = 4096
MAX_DEPTH = 50

WITHOUT_ORDER = frozenset({"robot", "online", "model", "version", "digest", "mode"})
"""Facts that are no numbers: 1.10 is not less than 1.9."""

_TOKEN = re.compile(
    rf'\s*(?:(?P<word>{WORD})|"(?P<quoted>[^"\x00-\x1f]+)"|(?P<sign>!=|<=|>=|=|<|>|\(|\)|,))'
)
_COMPARISONS = ("<=", ">=", "<", ">")


class SelectorError(MalformedError):
    """A selector that cannot be read; the message points at the place."""

    def __init__(self, selector: str, position: int, problem: str) -> None:
        pointer = f"{selector}\n{' ' * position}^"
        super().__init__(
            f"the selector is not valid at column {position + 1}: {problem}.\n{pointer}\n"
            "Write for example: all, or site=berlin and hw in (orin-nx, thor) and not tag=demo and "
            "online and battery>=0.4."
        )
        self.position = position


class Selector(Struct, frozen=True):
    """A selector that was understood: called with a robot's facts it says whether it is meant."""

    term: Term

    def __call__(self, facts: Facts) -> bool:
        return holds(self.term, facts)

    def __str__(self) -> str:
        return written(self.term)


class _Token(Struct, frozen=True):
    """``kind`` is ``word``, ``quoted`` or ``sign``; ``start`` the column where it begins."""

    kind: str
    text: str
    start: int


def parse_selector(text: str) -> Selector:
    """What ``text`` selects; raises SelectorError."""
    if len(text) > MAX_SELECTOR_CHARACTERS:
        raise SelectorError(text[:40], 0, f"it is longer than {MAX_SELECTOR_CHARACTERS} characters")
    parser = _Parser(text)
    term = parser.either()
    parser.expect_end()
    return Selector(term)


def meant_robot(selector: str, robots: Collection[str]) -> str:
    """What whoever wrote a robot's id for a selector meant, as a sentence; empty where nobody did."""
    name = selector.strip()
    return f" Write robot={name} for the robot of that name." if name in robots else ""


class _Parser:
    """Recursive descent over the tokens, remembering where each began."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def either(self) -> Term:
        sides = [self._both()]
        while self._take("or"):
            sides.append(self._both())
        return sides[0] if len(sides) == 1 else Either(tuple(sides))

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            raise self._error("expected 'and', 'or' or the end")

    def _both(self) -> Term:
        sides = [self._unary()]
        while self._take("and"):
            sides.append(self._unary())
        return sides[0] if len(sides) == 1 else Both(tuple(sides))

    def _unary(self) -> Term:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}")
        try:
            if self._take("not"):
                return Not(self._unary())
            if self._take("("):
                inner = self.either()
                self._expect(")")
                return inner
            return Everybody() if self._take("all") else self._about_a_fact()
        finally:
            self._depth -= 1

    def _about_a_fact(self) -> Term:
        name = self._word("a label or another fact")
        if self._take("="):
            return Equals(name, self._word("a value"))
        if self._take("!="):
            return Differs(name, self._word("a value"))
        if self._take("in"):
            return OneOf(name, self._values())
        for sign in _COMPARISONS:
            if self._peek(sign):
                return self._compared(name, sign)
        return Stated(name)

    def _compared(self, name: str, sign: str) -> Compared:
        if name in WITHOUT_ORDER:
            raise self._error(f"{name!r} is no number; write {name}=... or {name} in (..., ...)")
        self._expect(sign)
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        bound = number(token.text) if token is not None else None
        if bound is None:
            raise self._error("expected a number")
        self._next += 1
        return Compared(name, sign, bound)

    def _values(self) -> tuple[str, ...]:
        self._expect("(")
        values = [self._word("a value")]
        while self._take(","):
            values.append(self._word("a value"))
        self._expect(")")
        return tuple(values)

    def _word(self, what: str) -> str:
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if token is None or token.kind == "sign":
            raise self._error(f"expected {what}")
        if token.kind == "word" and (token.text in KEYWORDS or not token.text[0].isalnum()):
            raise self._error(f"expected {what}")
        self._next += 1
        return token.text

    def _peek(self, text: str) -> bool:
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        return token is not None and token.text == text and token.kind != "quoted"

    def _take(self, text: str) -> bool:
        if not self._peek(text):
            return False
        self._next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._error(f"expected {text!r}")

    def _error(self, problem: str) -> SelectorError:
        ended = self._next >= len(self._tokens)
        position = len(self._text) if ended else self._tokens[self._next].start
        return SelectorError(self._text, position, problem)


def _tokens(text: str) -> list[_Token]:
    """Each token with the column where it begins."""
    found: list[_Token] = []
    end = len(text.rstrip())
    position = 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise SelectorError(text, start, f"{text[start]!r} is not understood")
        kind = match.lastgroup or "word"
        start = match.start(kind) - (kind == "quoted")
        found.append(_Token(kind, match[kind], start))
        position = match.end()
    return found
