"""Who belongs to the fleet now: enrolled, and not taken out of it since."""

from __future__ import annotations

from nats.aio.client import Client

from fleetward.bus.last_values import Value, last_value, last_values
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled


async def enrolled_robots(connection: Client) -> list[Value[RobotEnrolled]]:
    """Every robot of the fleet, as it was enrolled last; raises BusError."""
    values = await last_values(connection, RobotEnrolled)
    return [value for value in values if value.event.retired_at is None]


async def enrolled_robot(connection: Client, robot: RobotId) -> Value[RobotEnrolled] | None:
    """One of them; raises BusError."""
    value = await last_value(connection, RobotEnrolled, robot_id=robot)
    return value if value is not None and value.event.retired_at is None else None
