"""Labels given and taken by whoever may enrol, and the robots that a selector then names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.client import Fleet
from fleetward.client.errors import UnknownRobotError
from fleetward.client.labels import label
from fleetward.contracts.fleet_facts import LabelError
from fleetward.contracts.ids import BootId, RobotId, robot_id
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.client.test_command_line import fleetward

NOW = datetime.now(timezone.utc)


@pytest.fixture
async def robot(shared_nats_system: NatsSystem) -> RobotId:
    """An enrolled robot that no other test uses."""
    name = robot_id(f"arm-{uuid4().hex[:8]}")
    enrolled = RobotEnrolled(
        robot_id=name, labels={"site": "berlin"}, enrolled_at=NOW, lease_s=60.0
    )
    await publish(await shared_nats_system.connect(Principal.ENROLLER), enrolled)
    return name


async def test_labels_of_two_people_at_once_are_all_kept(
    shared_nats_system: NatsSystem, robot: RobotId
) -> None:
    one, other = [await shared_nats_system.connect(Principal.ENROLLER) for _ in range(2)]

    await asyncio.gather(
        label(one, robot, {"hw": "thor"}, []), label(other, robot, {"tag": "demo,night"}, ["site"])
    )

    held = await last_value(one, RobotEnrolled, robot_id=robot)
    assert held is not None
    assert held.event.labels == {"hw": "thor", "tag": "demo,night"}
    assert held.event.lease_s == 60.0


async def test_a_robot_nobody_enrolled_and_a_label_nobody_could_ask_for_are_refused(
    shared_nats_system: NatsSystem, robot: RobotId
) -> None:
    enroller = await shared_nats_system.connect(Principal.ENROLLER)

    with pytest.raises(UnknownRobotError, match="No robot is called nobody"):
        await label(enroller, robot_id("nobody"), {"hw": "thor"}, [])
    with pytest.raises(LabelError, match="no label may be called 'online'"):
        await label(enroller, robot, {"online": "true"}, [])


async def test_a_selector_names_robots_by_labels_and_by_what_they_said_last(
    fleet: Fleet, shared_nats_system: NatsSystem, robot: RobotId
) -> None:
    said = RobotCheckedIn(
        robot_id=robot, boot_id=BootId("b"), sequence=1, facts={"battery": 0.5}, checked_in_at=NOW
    )
    await publish(await shared_nats_system.connect(robot), said)

    async def named(selector: str) -> list[str]:
        found = await fleet.robots(f"robot={robot} and {selector}")
        return [status.enrolled.robot_id for status in found]

    assert await named("site=berlin and online and battery>=0.4") == [robot]
    assert await named("battery>0.5") == []
    assert await named("not online") == []


async def test_the_command_line_labels_a_robot_and_lists_whom_a_selector_names(
    shared_nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path], robot: RobotId
) -> None:
    shared_nats_system.credentials(Principal.ENROLLER)
    home = home_of(shared_nats_system)

    labelled = await fleetward(home, "robot", "label", robot, "hw=thor", "site-", "--json")
    assert json.loads(labelled.output)["labels"] == {"hw": "thor"}

    asked = f"robot={robot} and hw=thor and not site"
    listed = await fleetward(home, "robot", "list", "--where", asked, "--json")
    assert [each["robot_id"] for each in json.loads(listed.output)] == [robot]

    mistaken = await fleetward(home, "robot", "list", "--where", "hw==thor")
    assert mistaken.code == 2
    assert "column 4: expected a value.\nhw==thor\n   ^" in mistaken.complaint
    unclear = await fleetward(home, "robot", "label", robot, "thor")
    assert unclear.code == 2
    assert "'thor' sets and removes nothing; write NAME=VALUE" in unclear.complaint
