"""Why a site's window is closed now, for people, and when it opens. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from fleetward.contracts.sites import SitePolicy
from fleetward.contracts.windows import Opening, next_opening


def closed_reason(policy: SitePolicy, now: datetime) -> str:
    """Why nobody there may be given a model now, or an empty string.

    The same words until it opens: what a rollout waits for is stored, and changes when that does.
    """
    if not policy.windows:
        return ""
    opening = next_opening(policy.windows, policy.blackouts, now)
    if opening is None:
        return f"no window of site {policy.site} opens within a year; set others"
    if opening.opens_at <= now:
        return ""
    return f"the window of site {policy.site} opens at {_local(opening)}"


def opens_at(policy: SitePolicy, now: datetime) -> datetime | None:
    """When the window opens that is closed now, or closes next."""
    opening = next_opening(policy.windows, policy.blackouts, now)
    return None if opening is None else opening.opens_at


def _local(opening: Opening) -> str:
    zone = ZoneInfo(opening.window.zone)
    return f"{opening.opens_at.astimezone(zone):%a %Y-%m-%d %H:%M} {opening.window.zone}"
