"""How far a site may be disturbed, from what is known of its robots and its open rollouts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId, RolloutId, SiteName
from fleetward.contracts.robots import CHECK_IN_S
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.sites import SiteOccupancy, SitePolicy, floor_of
from fleetward.contracts.surroundings import SiteRoom
from rollout_coordinator.floors import away_at
from rollout_coordinator.windows import closed_reason, opens_at


class LastSign(Struct, frozen=True):
    """A robot's newest check-in: when the server stored it, and whether it serves a model."""

    stored_at: datetime
    serves: bool


class SiteRobots(Struct, frozen=True):
    """The robots of a site: how long each may be silent, in seconds, and what it said last.

    ``is_current``: what they said was read after the newest decision that changed who is away.
    """

    leases_s: Mapping[RobotId, float] = {}
    heard: Mapping[RobotId, LastSign] = {}
    is_current: bool = True


def room_at(
    policy: SitePolicy,
    robots: SiteRobots,
    away: Mapping[RolloutId, Iterable[RobotId]],
    asking: RolloutId,
    now: datetime,
) -> SiteRoom:
    """What a decision of rollout ``asking`` may do at the site.

    A robot that said nothing serves may have been given a model since it said so. Whether it was is
    only known of what was said after the newest decision, so otherwise nobody counts as idle.
    """
    closed = closed_reason(policy, now)
    elsewhere = {robot for rollout, of in away.items() if rollout != asking for robot in of}
    in_service = _in_service(robots, now).difference(elsewhere)
    idle = (robot for robot, heard in robots.heard.items() if not heard.serves)
    return SiteRoom(
        floor=floor_of(policy, len(robots.leases_s)),
        robots=len(robots.leases_s),
        in_service=in_service,
        idle=frozenset(idle) if robots.is_current else frozenset(),
        closed=closed,
        opens_at=opens_at(policy, now) if closed else None,
    )


def _in_service(robots: SiteRobots, now: datetime) -> frozenset[RobotId]:
    """Who serves and was heard within its lease, by our clock or the server's if that is ahead."""
    newest = max((heard.stored_at for heard in robots.heard.values()), default=now)
    latest = max(now, newest)
    return frozenset(
        robot
        for robot, lease_s in robots.leases_s.items()
        if (heard := robots.heard.get(robot)) is not None
        and heard.serves
        and latest - heard.stored_at <= timedelta(seconds=CHECK_IN_S + lease_s)
    )


def occupied(row: SiteOccupancy, rollout: Rollout) -> SiteOccupancy:
    """The row with whom ``rollout`` has away there now; the same object when it says so already."""
    away = away_at(rollout, row.site)
    if row.away.get(rollout.rollout_id, ()) == away:
        return row
    others = {each: of for each, of in row.away.items() if each != rollout.rollout_id}
    return replace(row, away={**others, rollout.rollout_id: away} if away else others)


def occupied_anew(
    site: SiteName, policy_sequence: int, rollouts: Iterable[Rollout]
) -> SiteOccupancy:
    """The row of a site whose floor was just set, from every open rollout."""
    row = SiteOccupancy(site=site, policy_sequence=policy_sequence)
    for rollout in rollouts:
        row = occupied(row, rollout)
    return row
