"""A robot of this machine belongs to the fleet under the labels it is started with, and under others
that it was given since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robots
from fleetward.bus.publish import publish
from fleetward.contracts.fleet_facts import check_labels
from fleetward.contracts.robots import RobotEnrolled
from fleetward.local.programs import Robot


async def enrol(connection: Client, robots: Sequence[Robot]) -> None:
    """Announce every robot that is new or lacks a label. Needs ENROLLER's rights; raises LabelError."""
    enrolled = {
        value.event.robot_id: value.event.labels for value in await enrolled_robots(connection)
    }
    for robot in robots:
        held = enrolled.get(robot.robot_id)
        labels = {**(held or {}), **robot.labels}
        check_labels(labels)
        if held != labels:
            await publish(
                connection,
                RobotEnrolled(
                    robot_id=robot.robot_id,
                    labels=labels,
                    enrolled_at=datetime.now(timezone.utc),
                ),
            )
