"""A robot of this machine belongs to the fleet under the labels it is started with, and under others
that it was given since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Protocol

from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robots
from fleetward.bus.publish import publish
from fleetward.contracts.fleet_facts import check_labels
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.local.programs import Robot


class Keys(Protocol):
    """Whose credentials are whose."""

    def robot_public(self, name: RobotId) -> str:
        """The key of a robot's credentials."""

    def robot_key_ends(self, name: RobotId) -> datetime | None:
        """When they end; None: never."""


async def enrol(connection: Client, robots: Sequence[Robot], keys: Keys) -> None:
    """Announce every robot that is new, lacks a label or has another key.

    Needs ENROLLER's rights; raises LabelError.
    """
    enrolled = {value.event.robot_id: value.event for value in await enrolled_robots(connection)}
    for robot in robots:
        held, key = enrolled.get(robot.robot_id), keys.robot_public(robot.robot_id)
        labels = {**(held.labels if held else {}), **robot.labels}
        check_labels(labels)
        if held is None or (held.labels, held.public_key) != (labels, key):
            await publish(
                connection,
                RobotEnrolled(
                    robot_id=robot.robot_id,
                    labels=labels,
                    public_key=key,
                    key_expires_at=keys.robot_key_ends(robot.robot_id),
                    enrolled_at=datetime.now(timezone.utc),
                ),
            )
