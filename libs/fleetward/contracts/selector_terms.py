"""What a selector says, as a tree: whether it holds for the facts of a robot, and how it is written.

What is not known of a robot does not hold. A label with commas has several values, ``tag=a,b``: it
equals a value when one of them does, and differs from a value when none of them is it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

Fact = str | float
Facts = Mapping[str, Fact]

KEYWORDS = frozenset({"and", "or", "not", "in", "all"})
WORD = r"[A-Za-z0-9_.\-/:+@]+"
NUMBER = r"-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?"
_BARE = re.compile(rf"\A(?=[A-Za-z0-9]){WORD}\Z")
_NUMBER = re.compile(rf"\A{NUMBER}\Z")
_UNTRUE = frozenset({"", "false", "no", "0"})
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


class Everybody(Struct, frozen=True):
    """Holds for every robot."""


class Stated(Struct, frozen=True):
    """The fact is known, and is neither empty, ``false``, ``no`` nor 0."""

    name: str


class Equals(Struct, frozen=True):
    """One of the fact's values is ``value``; numbers are compared as numbers."""

    name: str
    value: str


class Differs(Struct, frozen=True):
    """None of the fact's values is ``value``; so too when nothing is known."""

    name: str
    value: str


class OneOf(Struct, frozen=True):
    """One of the fact's values is one of ``values``."""

    name: str
    values: tuple[str, ...]


class Compared(Struct, frozen=True):
    """One of the fact's values is a number that stands so to ``bound``."""

    name: str
    sign: str
    bound: float


class Not(Struct, frozen=True):
    """The opposite."""

    term: Term


class Both(Struct, frozen=True):
    """All of two or more."""

    terms: tuple[Term, ...]


class Either(Struct, frozen=True):
    """At least one of two or more."""

    terms: tuple[Term, ...]


Term = Everybody | Stated | Equals | Differs | OneOf | Compared | Not | Both | Either


def number(text: str) -> float | None:
    """The finite number that ``text`` is, if it is one."""
    found = float(text) if _NUMBER.match(text) else math.inf
    return found if math.isfinite(found) else None


def holds(term: Term, facts: Facts) -> bool:
    """Whether ``term`` holds for a robot of which these facts are known."""
    match term:
        case Not(term=inner):
            return not holds(inner, facts)
        case Both(terms=terms):
            return all(holds(each, facts) for each in terms)
        case Either(terms=terms):
            return any(holds(each, facts) for each in terms)
        case _:
            return _is_so(term, facts)


def written(term: Term) -> str:
    """The selector that reads as ``term``."""
    match term:
        case Not(term=inner):
            return f"not {_within(inner)}"
        case Both(terms=terms):
            return " and ".join(map(_within, terms))
        case Either(terms=terms):
            return " or ".join(map(_within, terms))
        case OneOf(name=name, values=values):
            return f"{_word(name)} in ({', '.join(map(_word, values))})"
        case Compared(name=name, sign=sign, bound=bound):
            return f"{_word(name)}{sign}{bound!r}"
        case _:
            return _plain(term)


def _plain(term: Everybody | Stated | Equals | Differs) -> str:
    match term:
        case Equals(name=name, value=value):
            return f"{_word(name)}={_word(value)}"
        case Differs(name=name, value=value):
            return f"{_word(name)}!={_word(value)}"
        case Stated(name=name):
            return _word(name)
        case Everybody():
            return "all"


def _is_so(term: Everybody | Stated | Equals | Differs | OneOf | Compared, facts: Facts) -> bool:
    match term:
        case Equals(name=name, value=value):
            return _is(facts.get(name), value)
        case Differs(name=name, value=value):
            return not _is(facts.get(name), value)
        case OneOf(name=name, values=values):
            return any(_is(facts.get(name), value) for value in values)
        case Compared(name=name, sign=sign, bound=bound):
            return any(_SIGNS[sign](each, bound) for each in _numbers(facts.get(name)))
        case Stated(name=name):
            known = facts.get(name, "")
            return known not in _UNTRUE and known != 0
        case Everybody():
            return True


def _is(known: Fact | None, wanted: str) -> bool:
    if known is None:
        return False
    if isinstance(known, str):
        return known == wanted or wanted in _values(known)
    return known == number(wanted)


def _numbers(known: Fact | None) -> Iterator[float]:
    if isinstance(known, str):
        yield from (each for text in _values(known) if (each := number(text)) is not None)
    elif known is not None and math.isfinite(known):
        yield known


def _values(known: str) -> list[str]:
    return [part.strip() for part in known.split(",")]


def _within(term: Term) -> str:
    text = written(term)
    return f"({text})" if isinstance(term, Both | Either) else text


def _word(text: str) -> str:
    return text if _BARE.match(text) and text not in KEYWORDS else f'"{text}"'
