"""A fleet of more robots than one answer of the server holds is listed whole."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone

from fleetward.bus.publish import publish
from fleetward.client import Fleet
from fleetward.contracts.ids import robot_id
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem

ROBOTS = 1_100
"""The server answers a read of many subjects with at most 1,024."""
AT_ONCE = 100


async def test_operator_lists_more_robots_than_one_answer_holds(
    fleet: Fleet, shared_nats_system: NatsSystem
) -> None:
    enroller = await shared_nats_system.connect(Principal.ENROLLER)
    robots = [robot_id(f"robot-{number:04}") for number in range(ROBOTS)]
    now = datetime.now(timezone.utc)
    for first in range(0, ROBOTS, AT_ONCE):
        enrolled = [
            RobotEnrolled(robot_id=robot, labels={}, enrolled_at=now)
            for robot in robots[first : first + AT_ONCE]
        ]
        await asyncio.gather(*(publish(enroller, each) for each in enrolled))

    assert [status.enrolled.robot_id for status in await fleet.robots()] == robots
