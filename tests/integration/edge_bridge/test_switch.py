"""Staged, switched at an instant of the hub's clock, held back by interlocks: on real workers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.workers.slots import InferenceDone
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelStaged,
    RobotCheckedIn,
    TargetMode,
)
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

AHEAD = timedelta(hours=5)
"""The hub's clock and the robot's have little to do with each other."""
LEAD = timedelta(seconds=2)
FAR = timedelta(hours=1)


class Results:
    """Whose answers came, in their order, and when those of each model began."""

    def __init__(self) -> None:
        self.digests: list[Digest] = []
        self.began: dict[Digest, datetime] = {}

    def __call__(self, done: InferenceDone) -> None:
        self.digests.append(done.digest)
        self.began.setdefault(done.digest, datetime.now(timezone.utc))


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        running.ahead = AHEAD
        yield running


@pytest.fixture
def first(fleet: Fleet) -> StagedModel:
    return published(fleet, "v1", 1.0)


@pytest.fixture
def second(fleet: Fleet) -> StagedModel:
    return published(fleet, "v2", 0.5)


def published(fleet: Fleet, name: str, gain: float) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, name, gain=gain)
    fleet.publish_model(made)
    return made


async def activated(fleet: Fleet, generation: int) -> ModelActivated:
    return await fleet.hears(ModelActivated, lambda fact: fact.generation == generation)


async def staged(fleet: Fleet, model: StagedModel, generation: int) -> ModelStaged:
    await fleet.aim(model, generation, mode=TargetMode.STAGE)
    return await fleet.hears(ModelStaged, lambda fact: fact.generation == generation)


async def holds(fleet: Fleet, boot_id: str, model: StagedModel) -> RobotCheckedIn:
    return await fleet.hears(
        RobotCheckedIn,
        lambda fact: fact.boot_id == boot_id and fact.staged_model == model.model,
    )


async def test_a_model_is_staged_then_switched_to_at_its_instant_and_back_without_a_byte(
    fleet: Fleet, first: StagedModel, second: StagedModel
) -> None:
    results = Results()
    async with Bridge(fleet.settings(), source=Camera(), on_result=results) as bridge:
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        held = await staged(fleet, second, 2)
        assert held.digest == second.digest
        assert held.bytes_fetched > 0
        assert held.clock_offset_s == pytest.approx(AHEAD.total_seconds(), abs=1.0)
        await holds(fleet, bridge.boot_id, second)
        assert set(results.digests) == {first.digest}, "what is staged answers nobody"

        asked, instant = len(fleet.objects.ranges), fleet.now() + LEAD
        await fleet.aim(second, 3, switch_at=instant, health_window_s=60)
        switched = await activated(fleet, 3)
        assert results.began[second.digest] + AHEAD >= instant
        assert switched.bytes_fetched == 0
        assert switched.switch_late_s is not None
        assert switched.switch_late_s >= 0

        await fleet.aim(first, 4)
        back = await activated(fleet, 4)
        assert (back.bytes_fetched, back.warm_up_ms) == (0, 0.0)
        assert len(fleet.objects.ranges) == asked, "neither switch moved a byte"
        assert fleet.count(ModelStaged) == 1


async def test_an_instant_that_has_passed_is_now(
    fleet: Fleet, first: StagedModel, second: StagedModel
) -> None:
    async with Bridge(fleet.settings(), source=Camera()):
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        await fleet.aim(second, 2, switch_at=fleet.now() - FAR)
        late = await activated(fleet, 2)
        assert late.switch_late_s is not None
        assert late.switch_late_s >= FAR.total_seconds()


async def test_a_restarted_bridge_stages_again_and_reports_nothing_twice(
    fleet: Fleet, first: StagedModel, second: StagedModel
) -> None:
    async with Bridge(fleet.settings(), source=Camera()):
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        await staged(fleet, second, 2)
    async with Bridge(fleet.settings(), source=Camera()) as again:
        back = await holds(fleet, again.boot_id, second)
        assert (back.active_digest, back.generation) == (first.digest, 2)
        await fleet.aim(second, 3, switch_at=fleet.now())
        assert (await activated(fleet, 3)).bytes_fetched == 0
    assert fleet.count(ModelStaged) == 1
    assert fleet.count(ActivationFailed) == 0


async def test_a_staged_model_whose_worker_dies_is_staged_again_but_not_for_ever(
    fleet: Fleet, first: StagedModel, second: StagedModel
) -> None:
    results, killed = Results(), set[int]()
    camera = Camera()
    async with Bridge(fleet.settings(), source=camera, on_result=results) as bridge:
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        await staged(fleet, second, 2)
        for _ in range(3):
            while bridge.worker_pids.get("staged", 0) in {0, *killed}:
                await camera.shows(1)
            killed.add(bridge.worker_pids["staged"])
            os.kill(bridge.worker_pids["staged"], signal.SIGKILL)
        failed = await fleet.hears(ActivationFailed)
        assert (failed.generation, failed.stage) == (2, ActivationStage.LOAD)
        assert "died 3 times" in failed.reason
        assert fleet.count(ModelStaged) == 1
        assert set(results.digests) == {first.digest}
        assert "staged" not in bridge.worker_pids


async def test_a_newer_target_ends_the_wait_for_an_instant(
    fleet: Fleet, first: StagedModel, second: StagedModel
) -> None:
    results = Results()
    async with Bridge(fleet.settings(), source=Camera(), on_result=results) as bridge:
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        await staged(fleet, second, 2)
        await fleet.aim(second, 3, switch_at=fleet.now() + FAR)
        await fleet.hears(RobotCheckedIn, lambda fact: fact.generation == 3)
        assert bridge.active == StagedModel(
            model=first.model,
            digest=first.digest,
            path=bridge.active.path if bridge.active else Path(),
        )
        await fleet.aim(first, 4)
        await activated(fleet, 4)
        assert set(results.digests) == {first.digest}
        assert "staged" not in bridge.worker_pids


@pytest.mark.parametrize("cut", ["flipped", "unheard"])
async def test_an_interlock_that_ceases_to_hold_before_the_instant_keeps_the_robot_from_swapping(
    fleet: Fleet, first: StagedModel, second: StagedModel, cut: str
) -> None:
    results, facts = Results(), fleet.directory / "facts.json"
    settings = fleet.settings(facts_path=facts, fact_max_age_s=60.0)
    async with Bridge(settings, source=Camera(), on_result=results) as bridge:
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        await staged(fleet, second, 2)
        facts.write_text('{"docked": true}')
        bridge.report_fact("battery", 0.9)
        await fleet.aim(
            second, 3, switch_at=fleet.now() + LEAD, interlocks=("docked", "battery>=0.3")
        )
        await fleet.hears(RobotCheckedIn, lambda fact: fact.generation == 3)
        if cut == "flipped":
            bridge.report_fact("battery", 0.1)
        else:
            facts.unlink()
        held = await fleet.hears(RobotCheckedIn, lambda fact: bool(fact.held_back))
        assert held.held_back == (
            "battery>=0.3: battery is 0.1" if cut == "flipped" else "docked: nobody reported docked"
        )
        await fleet.hears(RobotCheckedIn, lambda fact: fact.sequence > held.sequence + 1)
        assert set(results.digests) == {first.digest}

        bridge.report_fact("battery", 0.9)
        facts.write_text('{"docked": true}')
        assert (await activated(fleet, 3)).digest == second.digest
        await fleet.hears(
            RobotCheckedIn,
            lambda fact: fact.active_digest == second.digest and not fact.held_back,
        )
