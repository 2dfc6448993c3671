"""What must hold on a robot at the instant of a swap: ``docked``, ``not moving``, ``battery>=0.3``.

A robot judges fail-closed: a fact that nobody reported, that is too old, or that is of another kind
than the predicate asks for does not hold.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from fleetward.contracts.errors import MalformedError

MAX_INTERLOCKS = 16
MAX_INTERLOCK_CHARACTERS = 100

_NAME = r"[a-z][a-z0-9_.-]{0,63}"
_STATED = re.compile(rf"\A(?P<negated>not\s+)?(?P<name>{_NAME})\Z")
_COMPARED = re.compile(
    rf"\A(?P<name>{_NAME})\s*(?P<sign>>=|<=|==|>|<)\s*(?P<bound>-?\d{{1,12}}(?:\.\d{{1,12}})?)\Z"
)
_FACT_NAME = re.compile(rf"\A{_NAME}\Z")
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


class InterlockError(MalformedError):
    """A predicate, or the name of a fact, that no robot can judge."""


class Stated(Struct, frozen=True, kw_only=True):
    """The fact ``name`` is true, or false where ``negated``."""

    name: str
    negated: bool = False


class Compared(Struct, frozen=True, kw_only=True):
    """The fact ``name`` is a number that stands so to ``bound``."""

    name: str
    sign: str
    bound: float


class FactReported(Struct, frozen=True, kw_only=True):
    """What a robot knows: a truth or a number, and how many seconds ago it was so."""

    value: bool | float
    age_s: float


Predicate = Stated | Compared


def parse_interlock(text: str) -> Predicate:
    """The predicate that ``text`` says; raises InterlockError."""
    compared = _COMPARED.match(text) if len(text) <= MAX_INTERLOCK_CHARACTERS else None
    if compared is not None:
        return Compared(
            name=compared["name"], sign=compared["sign"], bound=float(compared["bound"])
        )
    stated = _STATED.match(text) if len(text) <= MAX_INTERLOCK_CHARACTERS else None
    if stated is None or stated["name"] == "not":
        raise InterlockError(
            f"the interlock {text[:MAX_INTERLOCK_CHARACTERS]!r} is not valid: name a fact in lower "
            "case, negate it, or compare it with a number, for example docked, not moving, "
            "battery>=0.3."
        )
    return Stated(name=stated["name"], negated=stated["negated"] is not None)


def check_interlocks(interlocks: Sequence[str]) -> None:
    """Raise InterlockError for the first that no robot can judge, or when they are too many."""
    if len(interlocks) > MAX_INTERLOCKS:
        raise InterlockError(f"{len(interlocks)} interlocks are more than {MAX_INTERLOCKS}.")
    for text in interlocks:
        parse_interlock(text)


def is_fact_name(name: str) -> bool:
    """Whether an interlock can name this fact."""
    return _FACT_NAME.match(name) is not None and name != "not"


def check_fact_name(name: str) -> None:
    """Raise InterlockError when no interlock can name this fact."""
    if not is_fact_name(name):
        raise InterlockError(
            f"a fact cannot be called {name[:MAX_INTERLOCK_CHARACTERS]!r}: use lower case letters, "
            "digits, '.', '_' and '-', beginning with a letter."
        )


def reason_against(
    interlocks: Sequence[str], facts: Mapping[str, FactReported], max_age_s: float
) -> str:
    """Why the robot may not swap now, naming each interlock that does not hold; empty: it may."""
    reasons = (_reason(text, facts, max_age_s) for text in interlocks)
    return "; ".join(reason for reason in reasons if reason)


def _reason(text: str, facts: Mapping[str, FactReported], max_age_s: float) -> str:
    try:
        predicate = parse_interlock(text)
    except InterlockError:
        return f"{text[:MAX_INTERLOCK_CHARACTERS]!r} is no interlock this robot understands"
    fact = facts.get(predicate.name)
    if fact is None:
        return f"{text}: nobody reported {predicate.name}"
    if not 0 <= fact.age_s <= max_age_s:
        return f"{text}: {predicate.name} is {fact.age_s:.1f} s old, more than {max_age_s:g} s"
    return "" if _holds(predicate, fact.value) else f"{text}: {predicate.name} is {_told(fact)}"


def _holds(predicate: Predicate, value: bool | float) -> bool:
    if isinstance(predicate, Stated):
        return isinstance(value, bool) and value is not predicate.negated
    if isinstance(value, bool) or not math.isfinite(value):
        return False
    return _SIGNS[predicate.sign](value, predicate.bound)


def _told(fact: FactReported) -> str:
    return str(fact.value).lower() if isinstance(fact.value, bool) else f"{fact.value:g}"
