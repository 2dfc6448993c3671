"""Who belongs to the fleet, what each robot last said about itself, and how its last target went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robots
from fleetward.bus.errors import NoAnswerError
from fleetward.bus.last_values import Value, last_value, last_values
from fleetward.client.errors import UnknownRobotError
from fleetward.contracts.fleet_facts import facts_of
from fleetward.contracts.ids import ModelRef, RobotId
from fleetward.contracts.robots import (
    CHECK_IN_S,
    ActivationFailed,
    Fetching,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
    RobotEnrolled,
)
from fleetward.contracts.selector_terms import Facts
from fleetward.contracts.selectors import parse_selector

Outcome = ModelActivated | ActivationFailed | ModelFellBack
"""How a robot's way to a target ended."""


class RobotStatus(Struct, frozen=True, kw_only=True):
    """One enrolled robot; ``last`` is None until it first checks in, ``outcome`` until a target."""

    enrolled: RobotEnrolled
    last: RobotCheckedIn | None = None
    heard_at: datetime | None = None
    """When the server stored ``last``."""
    outcome: Outcome | None = None

    @property
    def failure(self) -> str:
        """Why it does not serve what it was given last, or an empty string."""
        match self.outcome:
            case ActivationFailed(model=model, stage=stage, reason=reason):
                return f"{model} failed at {stage.value}: {reason}"
            case ModelFellBack(reason=reason):
                return f"fell back: {reason}"
            case _:
                return ""

    def facts(self, now: datetime) -> Facts:
        """What a selector is asked of."""
        return facts_of(self.enrolled, self.last, self.heard_at, now)

    def silent_for_s(self, now: datetime) -> float | None:
        """Seconds since it last checked in; None when it never did."""
        return (now - self.last.checked_in_at).total_seconds() if self.last else None

    def is_silent(self, now: datetime) -> bool:
        """Whether its check-in is overdue by more than its lease."""
        patience = timedelta(seconds=CHECK_IN_S + self.enrolled.lease_s)
        return self.last is None or now - self.last.checked_in_at > patience


async def statuses(connection: Client) -> list[RobotStatus]:
    """Every enrolled robot, by id."""
    enrolled = await enrolled_robots(connection)
    checked_in = await last_values(connection, RobotCheckedIn)
    last = {value.event.robot_id: value for value in checked_in}
    outcomes = await _outcomes(connection)
    found = [
        _status(value.event, last.get(value.event.robot_id), outcomes.get(value.event.robot_id))
        for value in enrolled
    ]
    return sorted(found, key=lambda status: status.enrolled.robot_id)


async def enrolled(connection: Client, robot: RobotId) -> RobotEnrolled:
    """What the fleet knows of a robot by itself; raises UnknownRobotError."""
    value = await last_value(connection, RobotEnrolled, robot_id=robot)
    if value is None:
        raise UnknownRobotError(
            f"No robot {robot} is enrolled. `fleetward robot list` shows those that are."
        )
    return value.event


async def selected(connection: Client, selector: str) -> list[RobotStatus]:
    """The robots that ``selector`` names, by id; raises SelectorError."""
    matches, now = parse_selector(selector), datetime.now(timezone.utc)
    return [robot for robot in await statuses(connection) if matches(robot.facts(now))]


async def fetches(
    connection: Client, model: ModelRef, robots: Sequence[RobotId]
) -> dict[RobotId, Fetching]:
    """How far those of ``robots`` are that are fetching ``model``; empty while nobody can be asked."""
    found: dict[RobotId, Fetching] = {}
    for robot in robots:
        try:
            value = await last_value(connection, RobotCheckedIn, robot_id=robot)
        except NoAnswerError:
            return {}
        said = value.event.standings if value else ()
        for fetching in (each.fetching for each in said):
            if fetching is not None and fetching.model == model:
                found[robot] = fetching
    return found


def _status(
    enrolled: RobotEnrolled, said: Value[RobotCheckedIn] | None, outcome: Outcome | None
) -> RobotStatus:
    if said is None:
        return RobotStatus(enrolled=enrolled, outcome=outcome)
    return RobotStatus(enrolled=enrolled, last=said.event, heard_at=said.stored_at, outcome=outcome)


async def _outcomes(connection: Client) -> dict[RobotId, Outcome]:
    """Each robot's newest outcome: whichever of the three the stream took last."""
    values: list[Value[ModelActivated] | Value[ActivationFailed] | Value[ModelFellBack]] = []
    values += await last_values(connection, ModelActivated)
    values += await last_values(connection, ActivationFailed)
    values += await last_values(connection, ModelFellBack)
    values.sort(key=lambda value: value.sequence)
    return {value.event.robot_id: value.event for value in values}
