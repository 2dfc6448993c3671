"""By which key a robot is known today, and when its credentials end."""

from __future__ import annotations

from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.contracts.robot_keys import RobotKey, RobotKeysChanged
from fleetward.contracts.robots import RobotEnrolled
from fleetward.trust.errors import TrustError
from fleetward.trust.succession import standing


async def current_key(connection: Client, robot: RobotEnrolled) -> RobotKey | None:
    """None: it has none that counts, because an operator voided them, or none that is known."""
    known = await last_value(connection, RobotKeysChanged, robot_id=robot.robot_id)
    try:
        keys = standing(robot, known.event if known else None)
    except TrustError:
        return None
    return keys.key(keys.current)
