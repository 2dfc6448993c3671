"""When a line says that it was: ISO 8601, or a number of seconds, milli-, micro- or nanoseconds."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

_SECOND = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_ZONE = re.compile(r"\s?([+-]\d\d:?\d\d)(?!\w)")
_SECOND_CHARACTERS = 19
_LONGEST = 38
"""Of a time with nine digits behind the second, and a zone."""
EARLIEST_NS = 946_684_800_000_000_000
"""The year 2000: what is older is a clock that was never set, or no time."""
AHEAD_NS = 86_400_000_000_000
"""No program knows what will be in a day."""
_NS_PER_S = 1_000_000_000
_UNITS_NS = (_NS_PER_S, 1_000_000, 1_000, 1)


def instant_ns(said: object, now_ns: int) -> int | None:
    """Unix nanoseconds; None for what is no time, or one that cannot be. Without a zone: local time."""
    if isinstance(said, str):
        second_ns, fraction_ns, rest = _read(said)
        at_ns = None if second_ns is None or rest else second_ns + fraction_ns
    elif isinstance(said, (int, float)) and not isinstance(said, bool):
        at_ns = _number_ns(said, now_ns)
    else:
        return None
    return at_ns if at_ns is not None and _possible(at_ns, now_ns) else None


def leading_instant_ns(text: str, now_ns: int) -> int | None:
    """The time that a line begins with, if it does."""
    second_ns, fraction_ns, _ = _read(text.removeprefix("[")[:_LONGEST])
    at_ns = None if second_ns is None else second_ns + fraction_ns
    return at_ns if at_ns is not None and _possible(at_ns, now_ns) else None


def _read(text: str) -> tuple[int | None, int, str]:
    """The second that ``text`` begins with, the nanoseconds behind it, and what is left."""
    rest = text[_SECOND_CHARACTERS:]
    if rest[:1] in (".", ","):
        after = rest[1:].lstrip("0123456789")
        fraction = rest[1 : len(rest) - len(after)]
        fraction_ns = int(fraction[:9].ljust(9, "0"))
    else:
        after, fraction_ns = rest, 0
    zone, left = _zone(after)
    return _second_ns(text[:_SECOND_CHARACTERS], zone), fraction_ns, left


def _zone(after: str) -> tuple[str, str]:
    """The zone that a time goes on with, and what is left."""
    if after[:1] == "Z" and not after[1:2].isalnum():
        return "+00:00", after[1:]
    if after[:2].lstrip()[:1] not in ("+", "-"):
        return "", after
    match = _ZONE.match(after)
    return (match[1], after[match.end() :]) if match else ("", after)


@lru_cache(maxsize=256)
def _second_ns(text: str, zone: str) -> int | None:
    """Lines of one second come together."""
    if _SECOND.fullmatch(text) is None:
        return None
    if zone and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    try:
        return round(datetime.fromisoformat(text.replace(" ", "T") + zone).timestamp()) * _NS_PER_S
    except (ValueError, OverflowError, OSError):
        return None


def _number_ns(said: float, now_ns: int) -> int | None:
    for unit_ns in _UNITS_NS:
        try:
            at_ns = round(said * unit_ns)
        except (ValueError, OverflowError):
            return None
        if _possible(at_ns, now_ns):
            return at_ns
    return None


def _possible(at_ns: int, now_ns: int) -> bool:
    return EARLIEST_NS <= at_ns <= now_ns + AHEAD_NS
