"""Who belongs to the fleet, and what each robot last said about itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_values
from fleetward.contracts.robots import CHECK_IN_S, RobotCheckedIn, RobotEnrolled


class RobotStatus(Struct, frozen=True, kw_only=True):
    """One enrolled robot; ``last`` is None until it first checks in."""

    enrolled: RobotEnrolled
    last: RobotCheckedIn | None = None

    def silent_for_s(self, now: datetime) -> float | None:
        """Seconds since it last checked in; None when it never did."""
        return (now - self.last.checked_in_at).total_seconds() if self.last else None

    def is_silent(self, now: datetime) -> bool:
        """Whether its check-in is overdue by more than its lease."""
        patience = timedelta(seconds=CHECK_IN_S + self.enrolled.lease_s)
        return self.last is None or now - self.last.checked_in_at > patience


async def statuses(connection: Client) -> list[RobotStatus]:
    """Every enrolled robot, by id."""
    enrolled = await last_values(connection, RobotEnrolled)
    checked_in = await last_values(connection, RobotCheckedIn)
    last = {value.event.robot_id: value.event for value in checked_in}
    found = [
        RobotStatus(enrolled=value.event, last=last.get(value.event.robot_id)) for value in enrolled
    ]
    return sorted(found, key=lambda robot: robot.enrolled.robot_id)
