"""A robot of this machine belongs to the fleet under the labels it is started with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from nats.aio.client import Client

from fleetward.bus.last_values import last_values
from fleetward.bus.publish import publish
from fleetward.contracts.robots import RobotEnrolled
from fleetward.local.programs import Robot


async def enrol(connection: Client, robots: Sequence[Robot]) -> None:
    """Announce every robot that is new or has other labels than before. Needs ENROLLER's rights."""
    enrolled = {
        value.event.robot_id: value.event.labels
        for value in await last_values(connection, RobotEnrolled)
    }
    for robot in robots:
        if enrolled.get(robot.robot_id) != dict(robot.labels):
            await publish(
                connection,
                RobotEnrolled(
                    robot_id=robot.robot_id,
                    labels=dict(robot.labels),
                    enrolled_at=datetime.now(timezone.utc),
                ),
            )
