"""A robot whose control loop suffers prepares nothing, says so, and gives up in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.bridge import Bridge
from edge_bridge.disturbance.limits import DisturbanceLimits
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    RobotCheckedIn,
)
from fleetward.contracts.signals import CONTROL_LOOP_DURATION, PREPARATION_PAUSED
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

LIMITS = DisturbanceLimits(control_loop_p99_s=0.01, calm_s=0.2, look_s=0.02)


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def model(fleet: Fleet, name: str, gain: float) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, name, gain=gain)
    fleet.publish_model(made)
    return made


async def activated(fleet: Fleet, generation: int) -> ModelActivated:
    return await fleet.hears(ModelActivated, lambda fact: fact.generation == generation)


@asynccontextmanager
async def a_late_control_loop(bridge: Bridge) -> AsyncIterator[None]:
    """One that turns at 200 Hz, 20 ms late each time."""

    async def turn() -> None:
        while True:
            bridge.record(CONTROL_LOOP_DURATION.name, 0.02)
            await asyncio.sleep(0.005)

    turning = asyncio.ensure_future(turn())
    try:
        await asyncio.sleep(3 * LIMITS.look_s)  # the brake looks
        yield
    finally:
        turning.cancel()


async def test_a_preparation_waits_until_the_control_loop_is_calm_and_says_why(
    fleet: Fleet,
) -> None:
    first, second = model(fleet, "v1", 1.0), model(fleet, "v2", 0.5)
    settings = fleet.settings(disturbance=LIMITS, vitals_s=0.1)
    async with Bridge(settings, source=Camera()) as bridge:
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        async with a_late_control_loop(bridge):
            await fleet.aim(second, 2)
            held = await fleet.hears(RobotCheckedIn, lambda fact: bool(fact.held_back))
            assert held.held_back == (
                "its preparation pauses: the p99 of the control loop is 20.0 ms, more than 10.0 ms"
            )
            assert second.digest not in held.cached_digests
            await fleet.stored(
                lambda frames: any(
                    series.signal == PREPARATION_PAUSED.name
                    for frame in frames.values()
                    for series in frame.series
                )
            )
            await fleet.hears(RobotCheckedIn, lambda fact: fact.sequence > held.sequence + 1)
            assert fleet.count(ModelActivated) == 1
        assert (await activated(fleet, 2)).digest == second.digest


async def test_a_target_is_given_up_when_patience_ends_and_the_way_back_is_not_held_up(
    fleet: Fleet,
) -> None:
    first, second, third = (model(fleet, f"v{at}", 1 / at) for at in (1, 2, 3))
    limits = replace(LIMITS, patience_s=0.3)
    async with Bridge(fleet.settings(disturbance=limits), source=Camera()) as bridge:
        for generation, wanted in enumerate((first, second), start=1):
            await fleet.aim(wanted, generation, fallback=first)
            await activated(fleet, generation)
        await fleet.hears(
            RobotCheckedIn, lambda fact: fact.generation == 2 and fact.warm_digest is None
        )
        async with a_late_control_loop(bridge):
            await fleet.aim(third, 3)
            failed = await fleet.hears(ActivationFailed)
            assert (failed.generation, failed.stage) == (3, ActivationStage.FETCH)
            assert "preparing tiny:v3 paused for more than 0.3 s in all: the p99" in failed.reason
            assert "raise its FLEETWARD_DISTURBANCE_ limits" in failed.reason
            await fleet.aim(first, 4)
            assert (await activated(fleet, 4)).digest == first.digest
