"""Two robots of one fleet, A and B; A is in the hands of an attacker, and its own work works."""

from __future__ import annotations

from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client

from fleetward.bus.publish import publish
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotNudged, SignedTarget
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.security.intruder import Intruder, intrude

ROBOT_A, ROBOT_B = RobotId("robot-a"), RobotId("robot-b")


@pytest.fixture
async def robot_a(shared_nats_system: NatsSystem) -> AsyncIterator[Intruder]:
    """Robot A, after it did what it may: so a refusal later is not a broken connection."""
    coordinator = await shared_nats_system.connect(Principal.COORDINATOR)
    for robot in (ROBOT_A, ROBOT_B):
        target = SignedTarget(
            robot_id=robot, payload=f"target of {robot}".encode(), key_id="k", signature=b"s"
        )
        await publish(coordinator, target)
    intruder = await intrude(shared_nats_system, ROBOT_A)
    await _does_its_own_work(intruder, coordinator)
    yield intruder
    await intruder.client.close()


async def _does_its_own_work(robot: Intruder, coordinator: Client) -> None:
    jetstream = robot.client.jetstream()
    stored = await jetstream.publish("robot.telemetry.v1.robot-a", b"mine")
    assert stored.stream == "TELEMETRY"
    own = await robot.client.request(
        "$JS.API.DIRECT.GET.ROLLOUTS.robot.target.v1.robot-a", b"", timeout=3
    )
    assert b"target of robot-a" in own.data
    await _hears_its_nudge(robot, coordinator)
    assert robot.refusals == []


async def _hears_its_nudge(robot: Intruder, coordinator: Client) -> None:
    """A stream import is in force a few milliseconds after the server confirmed the subscription."""
    nudges = await robot.client.subscribe("robot.nudged.v1.robot-a")
    await robot.client.flush()
    for _ in range(20):
        await publish(coordinator, RobotNudged(robot_id=ROBOT_A))
        try:
            await nudges.next_msg(timeout=0.1)
        except nats.errors.TimeoutError:
            continue
        await nudges.unsubscribe()
        return
    raise AssertionError("robot A's own nudge never arrived")
