"""What sites allow: the policies that people set, and who is away by which rollout."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robots
from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.publish import publish
from fleetward.client.errors import ClientError
from fleetward.contracts import ids
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.sites import (
    MAX_SITE_POLICIES,
    SITE_LABEL,
    SiteOccupancy,
    SitePolicy,
    SitePolicySet,
    check_site_policy,
    floor_of,
)
from fleetward.contracts.windows import Opening, next_opening


class UnknownSiteError(ClientError):
    """No policy is set for the site."""


class SiteStatus(Struct, frozen=True, kw_only=True):
    """A site with a policy: how many robots it has, and which of them which rollout has away."""

    policy: SitePolicy
    set_by: str
    set_at: datetime
    robots: int = 0
    away: dict[RolloutId, tuple[RobotId, ...]] = {}

    @property
    def floor(self) -> int | None:
        """How many of its robots must stay in service."""
        return floor_of(self.policy, self.robots)

    def opening(self, now: datetime) -> Opening | None:
        """The opening that ``now`` is in, or else the next; None where it is always open."""
        return next_opening(self.policy.windows, self.policy.blackouts, now)


class SitePolicies:
    """Reads and sets what sites allow. ``Fleet.sites``; raises FleetwardError with what to do."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    async def all(self) -> list[SiteStatus]:
        """Every site with a policy, by name."""
        values = await last_values(self._connection, SitePolicySet)
        robots = await self._robots()
        rows = {
            row.event.site: row.event for row in await last_values(self._connection, SiteOccupancy)
        }
        known = [_status(value.event, robots, rows.get(value.event.site)) for value in values]
        return sorted((each for each in known if each), key=lambda each: each.policy.site)

    async def one(self, site: str) -> SiteStatus:
        """One site with a policy; raises UnknownSiteError."""
        wanted = ids.site_name(site)
        value = await last_value(self._connection, SitePolicySet, site=wanted)
        row = await last_value(self._connection, SiteOccupancy, site=wanted)
        found = None
        if value is not None:
            found = _status(value.event, await self._robots(), row.event if row else None)
        if found is None:
            raise UnknownSiteError(
                f"site {wanted} has no policy, so it is always open and has no floor. "
                "`fleetward site set` gives it one."
            )
        return found

    async def set(self, policy: SitePolicy, *, by: str = "") -> SiteStatus:
        """Let ``policy`` bind from now on instead of what was set before for its site."""
        ids.site_name(policy.site)
        check_site_policy(policy)
        others = {each.policy.site for each in await self.all()} - {policy.site}
        if len(others) >= MAX_SITE_POLICIES:
            raise ClientError(
                f"{MAX_SITE_POLICIES} sites have a policy, no more may. `fleetward site remove` "
                "takes one away."
            )
        await self._say(SitePolicySet(site=policy.site, policy=policy, set_by=by, set_at=_now()))
        return await self.one(policy.site)

    async def remove(self, site: str, *, by: str = "") -> None:
        """Let the site be always open and without a floor again; raises UnknownSiteError."""
        known = await self.one(site)
        await self._say(SitePolicySet(site=known.policy.site, set_by=by, set_at=_now()))

    async def _say(self, fact: SitePolicySet) -> None:
        await publish(self._connection, fact)

    async def _robots(self) -> Counter[str]:
        enrolled = await enrolled_robots(self._connection)
        return Counter(robot.event.labels.get(SITE_LABEL, "") for robot in enrolled)


def _status(
    fact: SitePolicySet, robots: Counter[str], row: SiteOccupancy | None
) -> SiteStatus | None:
    if fact.policy is None:
        return None
    has_floor = fact.policy.floor is not None or fact.policy.floor_percent is not None
    return SiteStatus(
        policy=fact.policy,
        set_by=fact.set_by,
        set_at=fact.set_at,
        robots=robots[fact.site],
        away=row.away if row is not None and has_floor else {},
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
