"""A weekly maintenance window: on these days, from this local time, for so long, in this time zone.

A window opens at its local start, summer time or not, and stays open for its duration by the clock
on the wall of physics: real seconds. A start that the spring change skips opens as long after
midnight as it would have; one that autumn repeats opens at the first of the two.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from msgspec import Struct

from fleetward.contracts.errors import MalformedError

DAY_S = 86_400.0
MIN_WINDOW_S = 60.0
MAX_WINDOW_S = 7 * DAY_S
MAX_DAYS_AHEAD = 400
"""How far the next opening is looked for, past any blackout."""

_START = re.compile(r"\A([01]\d|2[0-3]):([0-5]\d)\Z")
_ZONE = re.compile(r"\A[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+){0,2}\Z")
_DURATION = re.compile(r"\A(?:\d{1,5}[dhm])+\Z")
_UNITS_S = {"d": DAY_S, "h": 3600.0, "m": 60.0}


class Weekday(str, enum.Enum):
    """A day of the week, in the zone of its window."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Weekday)


class WindowError(MalformedError):
    """A window that cannot be read or would never open."""


class Window(Struct, frozen=True, kw_only=True):
    """``start`` is local, HH:MM, on each of ``days``; ``zone`` an IANA name such as Europe/Berlin."""

    days: tuple[Weekday, ...]
    start: str
    duration_s: float
    zone: str

    def __str__(self) -> str:
        days = ",".join(day.value for day in self.days)
        return f"{days} {self.start}+{_spoken(self.duration_s)} {self.zone}"


class Opening(Struct, frozen=True):
    """One time that a window is open, in UTC; ``window`` says whose."""

    opens_at: datetime
    closes_at: datetime
    window: Window


def parse_window(text: str) -> Window:
    """Read ``mon-fri 02:00+3h Europe/Berlin``; raises WindowError that points at the wrong part."""
    parts = [(match[0], match.start()) for match in re.finditer(r"\S+", text)]
    if len(parts) != 3:
        raise _wrong(text, 0, f"it has {len(parts)} parts, not days, time and zone")
    (days, days_at), (when, when_at), (zone, zone_at) = parts
    start, plus, duration = when.partition("+")
    if not plus:
        raise _wrong(text, when_at, f"{when!r} has no duration after a '+'")
    duration_at = when_at + len(start) + 1
    if _DURATION.match(duration) is None:
        raise _wrong(text, duration_at, f"{duration!r} is no duration; write 3h, 90m or 1h30m")
    window = Window(
        days=_days(text, days, days_at),
        start=start,
        duration_s=sum(
            int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)([dhm])", duration)
        ),
        zone=zone,
    )
    for places, reason in _faults(window):
        raise _wrong(
            text, {"start": when_at, "duration_s": duration_at}.get(places, zone_at), reason
        )
    return window


def check_window(window: Window) -> None:
    """Raise WindowError when a window could never open, or not be told when."""
    if not window.days:
        raise WindowError(f"the window at {window.start} has no days, so it never opens.")
    for place, reason in _faults(window):
        raise WindowError(f"the {place} of a window is not valid: {reason}.")


def next_opening(
    windows: Sequence[Window], blackouts: Sequence[date], now: datetime
) -> Opening | None:
    """The opening that ``now`` is in, or else the next one; None when there is none for a year.

    A window does not open on a local date of ``blackouts``.
    """
    found = [opening for window in windows if (opening := _next(window, blackouts, now))]
    return min(found, key=lambda opening: opening.opens_at, default=None)


def _next(window: Window, blackouts: Sequence[date], now: datetime) -> Opening | None:
    zone = ZoneInfo(window.zone)
    hour, minute = (int(part) for part in window.start.split(":"))
    days = {WEEK.index(day) for day in window.days}
    today = now.astimezone(zone).date()
    longest = int(window.duration_s // DAY_S) + 1
    for ahead in range(-longest, MAX_DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        if day.weekday() not in days or day in blackouts:
            continue
        local = datetime.combine(day, time(hour, minute), tzinfo=zone)
        opens_at = local.astimezone(timezone.utc)
        closes_at = opens_at + timedelta(seconds=window.duration_s)
        if closes_at > now:
            return Opening(opens_at, closes_at, window)
    return None


def _faults(window: Window) -> list[tuple[str, str]]:
    """What is wrong: the field, and why. An unknown zone is known by asking for it."""
    found: list[tuple[str, str]] = []
    if _START.match(window.start) is None:
        found.append(("start", f"{window.start!r} is no time of day; write 02:00"))
    if not MIN_WINDOW_S <= window.duration_s <= MAX_WINDOW_S:
        found.append(("duration_s", "a window is open for at least a minute and at most 7 days"))
    elif window.duration_s > _again_s(window.days):
        again = _spoken(_again_s(window.days))
        found.append(
            (
                "duration_s",
                f"it opens again after {again}, before {_spoken(window.duration_s)} are over; write at "
                f"most +{again}, or fewer days",
            )
        )
    if not _is_zone(window.zone):
        found.append(("zone", f"{window.zone!r} is no IANA time zone; write Europe/Berlin, or UTC"))
    return found


def _again_s(days: Sequence[Weekday]) -> float:
    """The least time from one opening to the next, by the clock on the wall."""
    at = sorted(WEEK.index(day) for day in days) or [0]
    following = [*at[1:], at[0] + len(WEEK)]
    return min(then - now for now, then in zip(at, following, strict=True)) * DAY_S


def _is_zone(name: str) -> bool:
    if _ZONE.match(name) is None:
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; malformed; a directory such as Europe
        return False
    return True


def _days(text: str, days: str, at: int) -> tuple[Weekday, ...]:
    """``daily``, ``sat``, ``mon,wed``, ``mon-fri``, ``fri-mon``; in the order of the week."""
    if days == "daily":
        return WEEK
    chosen: set[Weekday] = set()
    for part in days.split(","):
        first, _, last = part.partition("-")
        for name in (first, last or first):
            if name not in {day.value for day in WEEK}:
                raise _wrong(text, at, f"{name!r} is no day; write mon, mon-fri, sat,sun or daily")
        begin, end = WEEK.index(Weekday(first)), WEEK.index(Weekday(last or first))
        length = (end - begin) % len(WEEK) + 1
        chosen.update(WEEK[(begin + step) % len(WEEK)] for step in range(length))
        at += len(part) + 1
    return tuple(day for day in WEEK if day in chosen)


def _spoken(duration_s: float) -> str:
    """In the notation that is read: 3h, 1h30m."""
    minutes = round(duration_s / 60)
    hours, left = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{left}m" if left or not hours else "")


def _wrong(text: str, position: int, problem: str) -> WindowError:
    return WindowError(
        f"the window is not valid at column {position + 1}: {problem}.\n{text}\n"
        f"{' ' * position}^\nWrite for example: mon-fri 02:00+3h Europe/Berlin."
    )
