"""What a site allows: how many of its robots must stay in service, and when models may change.

The policy binds every rollout and every rollback (windows: rollouts alone) that touches the site,
which is the value of its robots' label ``site``.
"""

from __future__ import annotations

import math
from datetime import date

from msgspec import Struct

from fleetward.contracts.errors import MalformedError
from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import RobotId, RolloutId, SiteName
from fleetward.contracts.windows import Window, check_window

SITE_LABEL = "site"
MAX_SITE_POLICIES = 300
"""Sites with a policy: a decision may write a row for each beside its 500 targets and 81 rows of
state, and the server takes 1,000 a batch."""
MAX_FLOOR_ROBOTS = 1_000_000
MAX_WINDOWS = 50
MAX_BLACKOUTS = 366
_ALL_PERCENT = 100


class SitePolicyError(MalformedError):
    """A policy that no site can be held to."""


class SitePolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One site's document. No windows: always open. No floor: any number may be out of service.

    floor, floor_percent: at least so many of the site's robots, or this share of them, must stay in
    service; the larger of the two binds. blackouts: local dates on which no window opens.
    """

    site: SiteName
    floor: int | None = None
    floor_percent: float | None = None
    windows: tuple[Window, ...] = ()
    blackouts: tuple[date, ...] = ()


class SitePolicySet(Event, frozen=True, kw_only=True):
    """Somebody set the policy of a site, or removed it (None)."""

    site: SiteName
    policy: SitePolicy | None = None
    set_by: str = ""
    set_at: UtcTime


class SiteOccupancy(Event, frozen=True, kw_only=True):
    """Which rollout has which robots of a site on their way: compared and set with each decision.

    Kept only while the site has a floor. ``policy_sequence``: that of the SitePolicySet it was begun
    under; under a newer one it is made anew from the open rollouts.
    """

    site: SiteName
    policy_sequence: int = 0
    away: dict[RolloutId, tuple[RobotId, ...]] = {}


def check_site_policy(policy: SitePolicy) -> None:
    """Raise SitePolicyError or WindowError with the first part that cannot be held, and why."""
    if policy.floor is not None and not 0 <= policy.floor <= MAX_FLOOR_ROBOTS:
        raise SitePolicyError(
            f"floor {policy.floor} of site {policy.site} is not 0 to {MAX_FLOOR_ROBOTS} robots."
        )
    percent = policy.floor_percent
    if percent is not None and not 0 <= percent <= _ALL_PERCENT:
        raise SitePolicyError(f"floor_percent {percent:g} of site {policy.site} is not 0 to 100.")
    for name, size, limit in (
        ("windows", len(policy.windows), MAX_WINDOWS),
        ("blackouts", len(policy.blackouts), MAX_BLACKOUTS),
    ):
        if size > limit:
            raise SitePolicyError(
                f"site {policy.site} has {size} {name}; at most {limit} are kept."
            )
    if policy.blackouts and not policy.windows:
        raise SitePolicyError(
            f"site {policy.site} has blackouts and no windows; a blackout keeps a window from "
            "opening. Add a window, for example 'daily 00:00+24h Europe/Berlin'."
        )
    for window in policy.windows:
        check_window(window)


def parse_date(text: str) -> date:
    """A date as YYYY-MM-DD; raises SitePolicyError."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SitePolicyError(f"{text!r} is no date; write 2026-12-24 ({error}).") from None


def floor_of(policy: SitePolicy, robots: int) -> int | None:
    """How many of the site's ``robots`` must stay in service; None: it has no floor."""
    if policy.floor is None and policy.floor_percent is None:
        return None
    share = math.ceil(robots * (policy.floor_percent or 0) / _ALL_PERCENT)
    return max(policy.floor or 0, share)
