"""A robot that goes silent raises exactly one RobotSilent, whoever is killed meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved
from tests.integration.alerting.rig import Rig, Robot

LEASE_S = 3.0

pytestmark = pytest.mark.slow


async def fleet_of(rig: Rig, size: int) -> list[Robot]:
    robots = [await rig.robot(f"r{number}", lease_s=LEASE_S) for number in range(size)]
    for robot in robots:
        robot.unmute()
    return robots


async def test_one_of_twenty_muted_robots_is_called_silent_once_and_returns(rig: Rig) -> None:
    await rig.alerting(grace_s=1.0)
    robots = await fleet_of(rig, 20)
    robots[7].latency_s = 0.3
    await rig.receiver.count(1)
    muted_at = asyncio.get_running_loop().time()
    await robots[7].mute()
    await rig.receiver.count(2, LEASE_S + 5)
    silent_after_s = asyncio.get_running_loop().time() - muted_at
    assert LEASE_S - 0.5 < silent_after_s < LEASE_S + 1
    assert [body["groupLabels"]["robot"] for body in rig.receiver.of("RobotSilent")] == ["r7"]
    (unknown,) = await rig.told(AlertBecameUnknown)
    assert (unknown.robot_id, unknown.alert) == ("r7", "InferenceOverBudget")
    assert await rig.told(AlertResolved) == []

    robots[7].latency_s = 0.02
    robots[7].unmute()
    await rig.receiver.count(4)
    assert {event.alert for event in await rig.told(AlertResolved)} == {
        "RobotSilent",
        "InferenceOverBudget",
    }
    assert len(rig.receiver.of("RobotSilent")) == 1


async def test_alerting_killed_between_silence_and_its_announcement_announces_once(
    rig: Rig,
) -> None:
    first = await rig.alerting(grace_s=1.0)
    robots = await fleet_of(rig, 5)
    await robots[2].mute()
    await asyncio.sleep(LEASE_S / 2)  # in the middle of the lease: nothing happens to wait for
    await first.kill()
    second = await rig.alerting(grace_s=1.0)
    await rig.receiver.count(1)
    await second.kill()
    await rig.alerting(grace_s=1.0)
    await asyncio.sleep(LEASE_S + 2.5)  # long enough for a second announcement, had there been one
    assert rig.receiver.keys == ["r2:RobotSilent:1:fired"]
    assert [(e.robot_id, e.incident) for e in await rig.told(AlertFired)] == [("r2", 1)]


async def test_a_hub_outage_silences_nobody(rig: Rig) -> None:
    service = await rig.alerting(grace_s=4.0)
    robots = await fleet_of(rig, 3)
    await rig.robot("canary")
    await rig.system.kill()
    for robot in robots:
        await robot.mute()
    await asyncio.sleep(LEASE_S + 1)
    await rig.system.restart()
    await service.logged("leases.extended")
    for robot in robots:
        robot.unmute()
    await asyncio.sleep(LEASE_S + 2)
    assert await rig.told(AlertFired) == []
    await robots[0].mute()
    await rig.receiver.count(1, LEASE_S + 8)
    assert rig.receiver.keys == ["r0:RobotSilent:1:fired"]
