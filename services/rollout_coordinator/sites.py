"""Reads what binds a decision at each site: its policy, who is heard there, and who is away.

Nothing is read of a site without a policy but that it has none, once in ``site_policy_age_s``; of one
with windows alone no robot is read. What binds two decisions at once is the row of who is away: it is
written with each of them and compared and set (docs/adr/0007).
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import reduce
from operator import attrgetter

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.batch import Write
from fleetward.bus.enrolled import enrolled_robots
from fleetward.bus.last_values import (
    Stored,
    last_stored_of,
    last_values_of,
)
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.errors import MalformedError
from fleetward.contracts.ids import ID_PATTERN, RobotId, SiteName
from fleetward.contracts.robots import RobotCheckedIn
from fleetward.contracts.rollouts import FINAL_STATES, Rollout, RolloutState
from fleetward.contracts.sites import (
    SITE_LABEL,
    SiteOccupancy,
    SitePolicy,
    SitePolicySet,
    check_site_policy,
    floor_of,
)
from fleetward.contracts.surroundings import NOTHING_AROUND, SiteRoom, Surroundings
from rollout_coordinator.capacity import LastSign, SiteRobots, occupied, occupied_anew, room_at
from rollout_coordinator.settings import Settings

NO_SEQUENCE = 0
_SITE = attrgetter("site")
STORED_S = 0.25
"""Long after it was heard the stream holds a policy, if it took it."""


class _Policy(Struct, frozen=True):
    """What was last set for a site: a policy, nothing, or something that cannot be held."""

    read_s: float
    sequence: int = NO_SEQUENCE
    policy: SitePolicy | None = None
    fault: str = ""


class _Said(Struct, frozen=True):
    """What a site's robots said last, read when its row of who is away had this sequence."""

    read_s: float
    row_sequence: int
    heard: Mapping[RobotId, LastSign]


class KeptRow(Struct, frozen=True):
    """Who is away at a site, with the sequence to compare and set by; ``is_stored``: as it stands."""

    row: SiteOccupancy
    sequence: int
    is_stored: bool = True


class Around(Struct, frozen=True):
    """What a decision sees, and the rows that it must still find so when it is written."""

    surroundings: Surroundings = NOTHING_AROUND
    rows: tuple[KeptRow, ...] = ()

    def moved_by(self, *rollouts: Rollout) -> list[Write]:
        """The rows that say something else once ``rollouts`` are written: to go into their batch."""
        moved = [(kept, reduce(occupied, rollouts, kept.row)) for kept in self.rows]
        return [
            Write(row, kept.sequence)
            for kept, row in moved
            if row is not kept.row or not kept.is_stored
        ]


class Sites:
    """One replica's reading of sites; what it may be late with has a bound in Settings."""

    def __init__(
        self,
        connection: Client,
        open_rollouts: Callable[[], Awaitable[Iterable[Rollout]]],
        settings: Settings,
    ) -> None:
        self._connection = connection
        self._open_rollouts = open_rollouts
        self._settings = settings
        self._policies: dict[SiteName, _Policy] = {}
        self._said: dict[SiteName, _Said] = {}
        self._leases_s: dict[SiteName, dict[RobotId, float]] = {}
        self._enrolled_read_s = float("-inf")
        self._of_waves: tuple[tuple[tuple[RobotId, ...], ...], list[SiteName]] = ((), [])
        """The sites of the rollout that was decided on last."""

    async def listen(self) -> None:
        """Hear when a policy is set. It may be a moment until the stream holds it."""

        async def was_set(message: Msg) -> None:
            self._forget()
            asyncio.get_running_loop().call_later(STORED_S, self._forget)

        await self._connection.subscribe(row_of(SitePolicySet).pattern, cb=was_set)

    def _forget(self) -> None:
        self._policies.clear()

    async def around(self, rollout: Rollout, now: datetime) -> Around:
        """What binds a decision on ``rollout`` now; raises BusError."""
        if rollout.state in FINAL_STATES and rollout.state is not RolloutState.SUCCEEDED:
            return Around()
        known = await self._known(self._sites_of(rollout))
        bound = {site: held for site, held in known.items() if held.policy or held.fault}
        if not bound:
            return Around()
        floored = {
            site: held
            for site, held in bound.items()
            if held.policy is not None and floor_of(held.policy, 0) is not None
        }
        rows = await self._rows(floored)
        rooms: dict[str, SiteRoom] = {}
        for site, held in bound.items():
            if held.policy is None:
                rooms[site] = SiteRoom(closed=held.fault)
                continue
            kept = rows.get(site)
            robots = SiteRobots() if kept is None else await self._robots(site, kept)
            away = {} if kept is None else kept.row.away
            rooms[site] = room_at(held.policy, robots, away, rollout.rollout_id, now)
        return Around(Surroundings(sites=rooms), tuple(rows.values()))

    def _sites_of(self, rollout: Rollout) -> list[SiteName]:
        """Where its robots are: settled when they come in, and so with the waves."""
        waves, sites = self._of_waves
        if waves is not rollout.waves:
            named = sorted(set(map(_SITE, rollout.robots.values())))
            sites = [SiteName(site) for site in named if re.match(ID_PATTERN, site)]
            self._of_waves = (rollout.waves, sites)
        return sites

    async def _known(self, sites: list[SiteName]) -> dict[SiteName, _Policy]:
        """The policy of each of ``sites``, at most ``site_policy_age_s`` old."""
        oldest = _monotonic_s() - self._settings.site_policy_age_s
        held = {site: self._policies[site] for site in sites if site in self._policies}
        known = {site: policy for site, policy in held.items() if policy.read_s >= oldest}
        return {**known, **await self._read([site for site in sites if site not in known])}

    async def _read(self, sites: list[SiteName]) -> dict[SiteName, _Policy]:
        read_s = _monotonic_s()
        stored = await last_stored_of(self._connection, SitePolicySet, "site", sites)
        read = {site: _policy(site, stored.get(site), read_s) for site in sites}
        self._policies.update(read)
        return read

    async def _rows(self, floored: Mapping[SiteName, _Policy]) -> dict[SiteName, KeptRow]:
        """Who is away at each site with a floor; made anew where its policy was set since."""
        if not floored:
            return {}
        values = await last_values_of(self._connection, SiteOccupancy, "site", list(floored))
        rows = {each.event.site: KeptRow(each.event, each.sequence) for each in values}
        newer = [
            site for site, kept in rows.items() if kept.row.policy_sequence > floored[site].sequence
        ]
        for site in newer:
            self._policies.pop(site, None)  # another replica knows a newer policy: read it next
        missing = {
            site: held
            for site, held in floored.items()
            if site not in rows or rows[site].row.policy_sequence < held.sequence
        }
        if missing:
            opened = tuple(await self._open_rollouts())
            for site, held in missing.items():
                row = occupied_anew(site, held.sequence, opened)
                sequence = rows[site].sequence if site in rows else NO_SEQUENCE
                rows[site] = KeptRow(row, sequence, is_stored=False)
        return rows

    async def _robots(self, site: SiteName, kept: KeptRow) -> SiteRobots:
        """Who belongs to the site and what each said last; the row was read before."""
        leases_s = (await self._enrolled()).get(site, {})
        said = self._said.get(site)
        oldest = _monotonic_s() - self._settings.check_in_age_s
        if said is None or said.read_s < oldest:
            said = _Said(_monotonic_s(), kept.sequence, await self._heard(list(leases_s)))
            self._said[site] = said
        return SiteRobots(leases_s, said.heard, is_current=said.row_sequence == kept.sequence)

    async def _heard(self, robots: list[RobotId]) -> dict[RobotId, LastSign]:
        stored = await last_stored_of(self._connection, RobotCheckedIn, "robot_id", robots)
        heard = {RobotId(robot): _heard(said) for robot, said in stored.items()}
        return {robot: said for robot, said in heard.items() if said is not None}

    async def _enrolled(self) -> dict[SiteName, dict[RobotId, float]]:
        """The lease of every robot, by site."""
        if self._enrolled_read_s < _monotonic_s() - self._settings.enrolled_age_s:
            read_s, by_site = _monotonic_s(), defaultdict[SiteName, dict[RobotId, float]](dict)
            for value in await enrolled_robots(self._connection):
                site = SiteName(value.event.labels.get(SITE_LABEL, ""))
                by_site[site][value.event.robot_id] = value.event.lease_s
            self._leases_s, self._enrolled_read_s = dict(by_site), read_s
        return self._leases_s


def _policy(site: SiteName, stored: Stored | None, read_s: float) -> _Policy:
    """What cannot be held closes the site: whoever wrote it meant something."""
    if stored is None:
        return _Policy(read_s)
    try:
        policy = decode(stored.payload, SitePolicySet).policy
        if policy is not None:
            check_site_policy(policy)
    except (UnreadableMessageError, MalformedError) as error:
        fault = f"the policy of site {site} cannot be held: {error}"
        return _Policy(read_s, stored.sequence, fault=fault)
    return _Policy(read_s, stored.sequence, policy)


def _heard(said: Stored) -> LastSign | None:
    """None for what nobody can read: as if the robot had not been heard."""
    try:
        event = decode(said.payload, RobotCheckedIn)
    except UnreadableMessageError:
        return None
    serves = any(each.active_digest is not None for each in event.standings)
    return LastSign(said.stored_at, serves)


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()
