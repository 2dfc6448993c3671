"""Revocation beats delivery: on a real NATS server, with real workers, at every stage of the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.publish import publish
from fleetward.contracts.codec import encode
from fleetward.contracts.curation import SignedWithdrawals, Withdrawals, withdrawals_message
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
    RobotNudged,
)
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import MANIFEST
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import ROBOT, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def model(fleet: Fleet, name: str, gain: float = 1.0) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, name, gain=gain)
    fleet.publish_model(made)
    return made


async def withdraw(fleet: Fleet, counter: int, *models: StagedModel) -> None:
    """As the registry does; a robot reads it at its next look."""
    reasons = {each.digest: "sees ghosts" for each in models}
    payload = encode(Withdrawals(counter=counter, reasons=reasons))
    signature = fleet.sign(MANIFEST, withdrawals_message(payload))
    registry = await fleet.system.connect(Principal.REGISTRY)
    await publish(
        registry,
        SignedWithdrawals(payload=payload, key_id=signature.key_id, signature=signature.signature),
    )
    await publish(fleet.coordinator, RobotNudged(robot_id=ROBOT))


async def activate(fleet: Fleet, wanted: StagedModel, generation: int, window_s: float) -> None:
    await fleet.aim(wanted, generation, health_window_s=window_s)
    await fleet.hears(ModelActivated, lambda fact: fact.generation == generation)


async def refusal(fleet: Fleet, generation: int) -> ActivationFailed:
    failed = await fleet.hears(ActivationFailed, lambda fact: fact.generation == generation)
    assert failed.stage is ActivationStage.TARGET
    assert "was withdrawn: sees ghosts" in failed.reason
    return failed


async def test_a_withdrawal_ends_a_fetch_that_is_under_way(fleet: Fleet) -> None:
    first, bad = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    released = asyncio.Event()
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        await activate(fleet, first, 1, 0.0)
        fleet.objects.faults = [fleet.objects.stall(100, released)]
        await fleet.aim(bad, 2)
        await fleet.objects.begun.wait()

        await withdraw(fleet, 1, bad)

        await refusal(fleet, 2)
        released.set()
        assert bridge.active
        assert bridge.active.digest == first.digest
        assert fleet.count(ModelActivated) == 1


async def test_bytes_that_are_on_the_robot_already_are_refused_too_also_after_a_reboot(
    fleet: Fleet,
) -> None:
    bad, second = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    async with Bridge(fleet.settings(), source=Camera()):
        await activate(fleet, bad, 1, 0.0)
        await activate(fleet, second, 2, 0.0)
        await withdraw(fleet, 1, bad)
        asked = len(fleet.objects.ranges)
        await fleet.aim(bad, 3)
        await refusal(fleet, 3)
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        await fleet.aim(bad, 4)
        await refusal(fleet, 4)
        assert len(fleet.objects.ranges) == asked
        assert bridge.active
        assert bridge.active.digest == second.digest


async def test_a_withdrawn_model_does_not_stay_warm_and_is_not_fallen_back_to(
    fleet: Fleet,
) -> None:
    bad, second = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        await activate(fleet, bad, 1, 0.0)
        await activate(fleet, second, 2, 60.0)
        await fleet.hears(RobotCheckedIn, lambda fact: fact.warm_digest == bad.digest)

        await withdraw(fleet, 1, bad)

        await fleet.hears(
            RobotCheckedIn,
            lambda fact: fact.active_digest == second.digest and fact.warm_digest is None,
        )
        assert bridge.active
        assert bridge.active.digest == second.digest
        assert fleet.count(ModelFellBack) == 0
