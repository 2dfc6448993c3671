"""Reads what a plan is made from: the model's record, and the fleet as it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robots
from fleetward.bus.errors import ConflictError
from fleetward.bus.last_values import last_value, last_values
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.codec import encode
from fleetward.contracts.decisions import Given
from fleetward.contracts.errors import MalformedError
from fleetward.contracts.ids import ModelName, RobotId, RolloutId
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import MAX_PIPELINES, RobotCheckedIn
from fleetward.contracts.rollout_plans import PlanRollout, RolloutPlanned
from fleetward.contracts.rollouts import Rollout, RolloutRequested
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.excluded import excluded
from rollout_coordinator.fleet import Fleet, Heard
from rollout_coordinator.joining import RobotsMatched, candidates, matched
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.opened import Opened
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import at_its_time, previewed
from rollout_coordinator.replan import continued, overtaken, seen_by
from rollout_coordinator.sites import Sites
from rollout_coordinator.waiting import asked_by


class FleetRead(Struct, frozen=True):
    """A reading of the fleet, and the sequence of the index of open rollouts that it began with."""

    record: ModelRecord | None
    fleet: Fleet
    index: int

    @property
    def open_ids(self) -> tuple[RolloutId, ...]:
        """Whom a rollout that is planned on it may take robots from."""
        return tuple(each.rollout_id for each in self.fleet.open_rollouts)


class Planner:
    """Plans on what the streams hold at the moment it is asked."""

    def __init__(
        self,
        connection: Client,
        ledger: RolloutLedger,
        sites: Sites,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._sites = sites
        self._now = now

    async def read(self, request: RolloutRequested, opened: Opened) -> FleetRead:
        """What a plan is made from: of thousands of robots, this takes seconds. Raises BusError."""
        record = await self._record(request.model.name)
        return FleetRead(record, await self._asked(request, opened), opened.sequence)

    async def followed(self, read: FleetRead, opened: Opened) -> FleetRead:
        """The same as open rollouts stand now, with the targets that they gave since; reads those alone.

        Raises ConflictError when a rollout began, ended or took robots in since.
        """
        if opened.sequence != read.index:
            raise ConflictError(
                "a rollout began, ended or took robots in while the fleet was read."
            )
        fleet = replace(read.fleet, open_rollouts=opened.rollouts)
        followed = replace(read, fleet=fleet)
        return await self.read_again(followed, overtaken(fleet, opened.rollouts))

    async def read_again(self, read: FleetRead, robots: Sequence[RobotId]) -> FleetRead:
        """The same with the targets of ``robots`` as they are now."""
        if not robots:
            return read
        newer = await self._with_targets(read.fleet, robots)
        targets = {**read.fleet.targets, **newer.targets}
        return replace(read, fleet=replace(newer, targets=targets))

    async def previewed(self, asked: PlanRollout) -> RolloutPlanned:
        """What would become of a request now; nothing is kept of it. Raises BusError."""
        request = asked.request
        fleet = await self._asked(request, await self._ledger.opened())
        record = await self._record(request.model.name)
        now = self._now()
        try:
            plan = planned(at_its_time(request, now), record, fleet, now)
        except (PlanRefusedError, MalformedError):
            return previewed(request, record, fleet, now)
        around = (await self._sites.around(plan, now)).surroundings
        return previewed(request, record, fleet, now, around)

    async def matched(self, rollout: Rollout, opened: Opened) -> RobotsMatched:
        """Who may join a continuous rollout by now; targets are read of those alone."""
        seen = await self._seen(opened)
        names = candidates(rollout, seen, self._now())
        is_release = rollout.model.name == BRIDGE_MODEL
        record = await self._record(BRIDGE_MODEL) if is_release and names else None
        return matched(rollout, names, await self._with_targets(seen, names), record)

    async def _record(self, name: ModelName) -> ModelRecord | None:
        record = await last_value(self._connection, ModelRecord, name=name)
        return record.event if record else None

    async def _asked(self, request: RolloutRequested, opened: Opened) -> Fleet:
        """The fleet, with the records of the models that shall switch together with the request's own."""
        fleet = await self.fleet(opened)
        names = [each.name for each in request.together[:MAX_PIPELINES]]
        found = {name: await self._record(name) for name in names}
        return replace(fleet, further={name: it for name, it in found.items() if it})

    async def fleet(self, opened: Opened) -> Fleet:
        """Every robot with what it was given and what it said last."""
        seen = await self._seen(opened)
        return await self._with_targets(seen, [robot.robot_id for robot in seen.robots])

    async def _seen(self, opened: Opened) -> Fleet:
        enrolled = await enrolled_robots(self._connection)
        said = await last_values(self._connection, RobotCheckedIn)
        return Fleet(
            robots=tuple(value.event for value in enrolled),
            targets={},
            open_rollouts=opened.rollouts,
            heard={value.event.robot_id: Heard(value.event, value.stored_at) for value in said},
        )

    async def _with_targets(self, fleet: Fleet, robots: Sequence[RobotId]) -> Fleet:
        if not robots:
            return fleet
        known = await self._ledger.targets(robots)
        targets = {robot: held.target for robot, held in known.items() if held.target}
        return replace(fleet, targets=targets, withdrawn=await self._ledger.withdrawn())


def planned_on(
    read: FleetRead, request: RolloutRequested, now: datetime, traceparent: str = ""
) -> tuple[Rollout, Given]:
    """The rollout that is asked for and what it was planned on, for the log of its decisions.

    Raises PlanRefusedError, MalformedError.
    """
    rollout = planned(request, read.record, read.fleet, now, traceparent)
    return rollout, _logged(rollout, request, read.record, read.fleet, now)


def planned_anew_on(read: FleetRead, waiting: Rollout, now: datetime) -> tuple[Rollout, Given]:
    """A waiting rollout by what is true now; raises as ``planned_on`` does."""
    request, fleet = asked_by(waiting), seen_by(waiting, read.fleet)
    rollout = continued(waiting, planned(request, read.record, fleet, now), now)
    return rollout, _logged(rollout, request, read.record, fleet, now)


def _logged(
    rollout: Rollout,
    request: RolloutRequested,
    record: ModelRecord | None,
    fleet: Fleet,
    now: datetime,
) -> Given:
    return Given(
        planned=encode(rollout),
        request=encode(request),
        excluded=excluded(rollout, request, record, fleet, now),
    )
