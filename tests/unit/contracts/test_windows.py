"""When a weekly window opens and closes, also where the clocks change, and what is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import SiteName
from fleetward.contracts.sites import (
    SitePolicy,
    SitePolicyError,
    check_site_policy,
    floor_of,
)
from fleetward.contracts.windows import (
    WEEK,
    Weekday,
    Window,
    WindowError,
    check_window,
    next_opening,
    parse_window,
)

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = parse_window("mon-fri 02:00+3h Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def opening_at(window: Window, now: datetime, *blackouts: date) -> tuple[datetime, datetime]:
    opening = next_opening([window], blackouts, now)
    assert opening is not None
    return opening.opens_at, opening.closes_at


@pytest.mark.parametrize(
    "text",
    ["daily 00:00+24h UTC", "fri 20:00+7d UTC", "sun,mon 02:00+24h UTC", "mon,thu 02:00+3d UTC"],
)
def test_a_window_may_be_open_until_it_opens_again(text: str) -> None:
    check_window(parse_window(text))


@pytest.mark.parametrize(
    ("now", "opens_at", "closes_at"),
    [
        ("2026-01-05T00:59:59", "2026-01-05T01:00:00", "2026-01-05T04:00:00"),  # a Monday
        ("2026-01-05T01:00:00", "2026-01-05T01:00:00", "2026-01-05T04:00:00"),
        ("2026-01-05T03:59:59", "2026-01-05T01:00:00", "2026-01-05T04:00:00"),
        ("2026-01-05T04:00:00", "2026-01-06T01:00:00", "2026-01-06T04:00:00"),
        ("2026-01-09T04:00:00", "2026-01-12T01:00:00", "2026-01-12T04:00:00"),  # past a weekend
        ("2026-07-06T00:00:00", "2026-07-06T00:00:00", "2026-07-06T03:00:00"),  # in summer
    ],
)
def test_a_window_opens_at_its_local_time_on_its_days(
    now: str, opens_at: str, closes_at: str
) -> None:
    assert opening_at(NIGHTS, utc(now)) == (utc(opens_at), utc(closes_at))


@pytest.mark.parametrize(
    ("window", "now", "opens_at", "closes_at"),
    [
        # Sunday 2026-03-29, 02:00 to 03:00 is skipped in Berlin: 02:30 is told as 03:30.
        ("sun 02:30+1h", "2026-03-29T00:00:00", "2026-03-29T01:30:00", "2026-03-29T02:30:00"),
        ("sun 01:00+3h", "2026-03-29T00:00:00", "2026-03-29T00:00:00", "2026-03-29T03:00:00"),
        ("daily 04:00+1h", "2026-03-28T12:00:00", "2026-03-29T02:00:00", "2026-03-29T03:00:00"),
        # Sunday 2026-10-25, 02:00 to 03:00 comes twice: it opens at the first.
        ("sun 02:30+1h", "2026-10-25T00:00:00", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),
        ("sun 02:30+1h", "2026-10-25T01:30:00", "2026-11-01T01:30:00", "2026-11-01T02:30:00"),
        ("daily 04:00+1h", "2026-10-24T12:00:00", "2026-10-25T03:00:00", "2026-10-25T04:00:00"),
    ],
)
def test_a_window_follows_the_change_of_clocks_and_stays_open_for_its_duration(
    window: str, now: str, opens_at: str, closes_at: str
) -> None:
    opening = opening_at(parse_window(f"{window} Europe/Berlin"), utc(now))
    assert opening == (utc(opens_at), utc(closes_at))


def test_a_window_that_began_days_ago_is_open_still() -> None:
    weekend = parse_window("fri 20:00+2d10h Europe/Berlin")
    assert opening_at(weekend, utc("2026-01-11T23:00:00"))[0] == utc("2026-01-09T19:00:00")


def test_no_window_opens_on_a_local_date_of_the_blackout() -> None:
    opens_at, _ = opening_at(NIGHTS, utc("2026-01-05T00:00:00"), date(2026, 1, 5), date(2026, 1, 6))
    assert opens_at == utc("2026-01-07T01:00:00")


def test_blackouts_on_every_day_leave_no_opening() -> None:
    days = [date(2026, 1, 1) + timedelta(days=ahead) for ahead in range(500)]
    assert next_opening([NIGHTS], days, utc("2026-01-02T00:00:00")) is None


def test_the_earliest_of_several_windows_counts() -> None:
    other = parse_window("wed 09:00+1h Asia/Tokyo")
    opening = next_opening([NIGHTS, other], [], utc("2026-01-06T23:30:00"))
    assert opening is not None
    assert (opening.opens_at, opening.window) == (utc("2026-01-07T00:00:00"), other)


def _follow_after(step: int, days: tuple[Weekday, ...]) -> bool:
    """Whether one of ``days`` is ``step`` days after another, or after itself."""
    return any(WEEK[(WEEK.index(day) + step) % len(WEEK)] in days for day in days)


@given(
    days=some.sets(some.sampled_from(WEEK), min_size=1),
    minute=some.integers(0, 24 * 60 - 1),
    duration_m=some.integers(1, 7 * 24 * 60),
    zone=some.sampled_from(("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")),
    days_on=some.floats(0, 730),
)
def test_what_is_written_is_read_back_and_opens_within_a_week_or_two(
    days: set[Weekday], minute: int, duration_m: int, zone: str, days_on: float
) -> None:
    chosen = tuple(day for day in WEEK if day in days)
    again = next(step for step in range(1, 8) if _follow_after(step, chosen))
    window = Window(
        days=chosen,
        start=f"{minute // 60:02}:{minute % 60:02}",
        duration_s=min(duration_m, again * 24 * 60) * 60.0,
        zone=zone,
    )
    assert parse_window(str(window)) == window
    assert decode(encode(window), Window) == window
    at = utc("2026-01-01T00:00:00") + timedelta(days=days_on)
    opens_at, closes_at = opening_at(window, at)
    assert opens_at <= at < closes_at or at < opens_at <= at + timedelta(days=8)
    local = opens_at.astimezone(ZoneInfo(zone))
    assert WEEK[local.weekday()] in days


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("daily", "mon tue wed thu fri sat sun"),
        ("sat,mon", "mon sat"),
        ("fri-mon", "mon fri sat sun"),
        ("mon-wed,wed,sun", "mon tue wed sun"),
    ],
)
def test_days_are_read_as_written(text: str, days: str) -> None:
    window = parse_window(f"{text} 02:00+90m UTC")
    assert [day.value for day in window.days] == days.split()
    assert window.duration_s == 5400


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("mon-fri 02:00+3h", 1, "2 parts"),
        ("mon-fry 02:00+3h UTC", 1, "'fry' is no day"),
        ("mon,tues 02:00+3h UTC", 5, "'tues' is no day"),
        ("mon 02:00 UTC", 5, "no duration"),
        ("mon 25:00+3h UTC", 5, "no time of day"),
        ("mon 02:00+3 UTC", 11, "no duration"),
        ("mon 02:00+0h UTC", 11, "at least a minute"),
        ("mon 02:00+8d UTC", 11, "at most 7 days"),
        ("mon-fri 02:00+99h UTC", 15, r"opens again after 24h, .* write at most \+24h"),
        ("sat,sun 02:00+25h UTC", 15, r"opens again after 24h"),
        ("mon,thu 02:00+73h UTC", 15, r"opens again after 72h"),
        ("mon 02:00+3h Europe/Berln", 14, "no IANA time zone"),
        ("mon 02:00+3h Europe", 14, "no IANA time zone"),
        ("mon 02:00+3h ../../etc/passwd", 14, "no IANA time zone"),
    ],
)
def test_the_message_points_at_the_wrong_part(text: str, column: int, problem: str) -> None:
    with pytest.raises(WindowError, match=problem) as refused:
        parse_window(text)
    assert f"at column {column}:" in str(refused.value)
    _, shown, caret, *_ = str(refused.value).splitlines()
    assert shown[len(caret) - 1 :].startswith(text[column - 1 : column + 1])


@pytest.mark.parametrize(
    "window",
    [
        Window(days=(), start="02:00", duration_s=60, zone="UTC"),
        Window(days=WEEK, start="2:00", duration_s=60, zone="UTC"),
        Window(days=WEEK, start="02:00", duration_s=0, zone="UTC"),
        Window(days=WEEK, start="02:00", duration_s=float("nan"), zone="UTC"),
        Window(days=WEEK, start="02:00", duration_s=60, zone="Nowhere"),
    ],
)
def test_a_window_that_never_opens_is_refused(window: Window) -> None:
    with pytest.raises(WindowError):
        check_window(window)


def policy(**fields: object) -> SitePolicy:
    return SitePolicy(site=SiteName("berlin"), **fields)  # type: ignore[arg-type]  # as the test says


@pytest.mark.parametrize(
    "wrong",
    [
        policy(floor=-1),
        policy(floor=1_000_001),
        policy(floor_percent=101),
        policy(floor_percent=float("nan")),
        policy(blackouts=(date(2026, 1, 1),)),
        policy(windows=(NIGHTS,) * 51),
    ],
)
def test_a_policy_that_cannot_be_held_is_refused(wrong: SitePolicy) -> None:
    with pytest.raises(SitePolicyError):
        check_site_policy(wrong)


@pytest.mark.parametrize(
    ("site_policy", "robots", "floor"),
    [
        (policy(), 5, None),
        (policy(floor=3), 5, 3),
        (policy(floor_percent=50), 5, 3),
        (policy(floor=1, floor_percent=60), 5, 3),
        (policy(floor=4, floor_percent=60), 5, 4),
        (policy(floor_percent=0), 5, 0),
    ],
)
def test_the_larger_of_both_floors_binds(
    site_policy: SitePolicy, robots: int, floor: int | None
) -> None:
    check_site_policy(site_policy)
    assert floor_of(site_policy, robots) == floor
