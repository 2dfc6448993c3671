"""The hub's disk is full: nothing is acknowledged, nothing acknowledged is lost, space heals it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from fleetward.bus.errors import PublishError
from fleetward.bus.last_values import last_values
from fleetward.bus.publish import publish
from fleetward.client.fleet import Fleet
from fleetward.contracts.alerts import AlertFired, Severity
from fleetward.contracts.ids import AlertName, robot_id
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.contracts.rows import Principal
from tests.faults.conftest import running
from tests.faults.fleet_facts import eventually, serves
from tests.faults.small_disks import fill_up, small_disk

pytestmark = pytest.mark.slow

DISK_BYTES = 96 * 1024 * 1024
IMPATIENT_S = 1.0
ALERT = "Witness"


def witness(number: int) -> AlertFired:
    """A fact of 2 KB that only this test tells."""
    now = datetime.now(timezone.utc)
    return AlertFired(
        robot_id=robot_id(f"witness-{number}"),
        alert=AlertName(ALERT),
        incident=1,
        severity=Severity.INFO,
        value=1.0,
        expression="w" * 2000,
        pending_since=now,
        fired_at=now,
    )


async def acknowledged(application: Fleet, numbers: range) -> set[str]:
    """The witnesses that the server said it stored; the first refusal ends it."""
    told: set[str] = set()
    for number in numbers:
        try:
            await publish(application.connection, witness(number), timeout_s=IMPATIENT_S)
        except PublishError:
            return told
        told.add(f"witness-{number}")
    return told


async def test_a_full_hub_refuses_loses_nothing_and_recovers_when_space_returns(
    tmp_path: Path, models: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    filler = home / "nats" / "filler"
    with small_disk(home / "nats", DISK_BYTES):
        async with (
            running(home, models, robots=1) as system,
            Fleet.connect(home, principal=Principal.APPLICATION) as application,
        ):
            version = await system.publish_build(1)
            rollout = await system.start(version, Strategy.ALL_AT_ONCE)
            await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
            kept = await acknowledged(application, range(20))
            assert len(kept) == 20

            fill_up(filler)
            while_full = await acknowledged(application, range(100, 400))
            assert len(while_full) < 300, "the disk was not full"
            served = await serves(system, "robot-1", version)

            pid = system.system.process("nats-server").pid
            filler.unlink()
            await system.system.ready("nats-server", after_pid=pid)
            after = await eventually(lambda: acknowledged(application, range(500, 501)))

            stored = {
                value.event.robot_id
                for value in await last_values(application.connection, AlertFired, alert=ALERT)
            }
            assert kept | while_full | after <= stored
            version = await system.publish_build(2)
            rollout = await system.start(version, Strategy.ALL_AT_ONCE)
            ended = await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
            assert ended.state is RolloutState.SUCCEEDED, ended.reason
            said = await serves(system, "robot-1", version)
            assert said.boot_id == served.boot_id, "the robot's bridge did not live through it"
    log = (home / "logs" / "nats-server.log").read_text()
    assert "no space left on device" in log
