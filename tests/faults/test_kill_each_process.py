"""kill -9 of each process, one by one, in the middle of a rollout: nothing acknowledged is lost,
no robot is without a working model, and the rollout ends right."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timezone

import pytest

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.client.fleet import Fleet
from fleetward.contracts.alerts import AlertFired, Severity
from fleetward.contracts.ids import AlertName, robot_id
from fleetward.contracts.rollouts import RobotPhase, RolloutState
from fleetward.contracts.rows import Principal
from tests.faults.conftest import ROBOTS, Fleetward

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PROCESSES = (
    "nats-server",
    "seaweedfs",
    "model-registry",
    "rollout-coordinator",
    "telemetry-ingest",
    "alerting",
    "edge-bridge.robot-1",
)
ROLLOUT_LIMIT_S = 90.0
SETTLE_LIMIT_S = 60.0
ACKNOWLEDGED = 20
_builds = itertools.count(1)


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_rollout_survives_kill_9_of(fleetward: Fleetward, process: str) -> None:
    version = await fleetward.publish_build(next(_builds))
    rollout = await fleetward.start(version)
    alert = f"Before{process.title().replace('-', '').replace('.', '')}"
    acknowledged = await _acknowledged_facts(fleetward, alert)

    pid = fleetward.system.kill(process)
    assert pid, f"{process} was not running"
    await fleetward.system.ready(process, after_pid=pid)

    ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=ROLLOUT_LIMIT_S)
    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    assert {progress.phase for progress in ended.robots.values()} == {RobotPhase.PROVED}
    await _every_robot_serves(fleetward, version)
    stored = [
        await last_value(fleetward.fleet.connection, AlertFired, robot_id=robot, alert=alert)
        for robot in acknowledged
    ]
    assert all(value is not None for value in stored), "an acknowledged fact was lost"


async def _acknowledged_facts(fleetward: Fleetward, alert: str) -> list[str]:
    """Facts whose storing the server acknowledged before anything is killed."""
    robots = [f"witness-{number}" for number in range(ACKNOWLEDGED)]
    home = fleetward.system.home.path
    async with Fleet.connect(home, principal=Principal.APPLICATION) as application:
        for robot in robots:
            now = datetime.now(timezone.utc)
            fired = AlertFired(
                robot_id=robot_id(robot),
                alert=AlertName(alert),
                incident=1,
                severity=Severity.INFO,
                value=1.0,
                expression="witness",
                pending_since=now,
                fired_at=now,
            )
            assert await publish(application.connection, fired) > 0
    return robots


async def _every_robot_serves(fleetward: Fleetward, version: str) -> None:
    async with asyncio.timeout(SETTLE_LIMIT_S):
        while True:
            robots = await fleetward.fleet.robots()
            serving = [
                robot
                for robot in robots
                if robot.last is not None
                and robot.last.active_model is not None
                and robot.last.active_model.version == version
            ]
            if len(serving) == ROBOTS:
                return
            await asyncio.sleep(0.2)
