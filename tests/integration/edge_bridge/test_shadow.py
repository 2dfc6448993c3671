"""A model that a target names to be shadowed, on a real bridge: compared, measured, never served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.workers.slots import InferenceDone
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelShadowed,
    RobotCheckedIn,
    TargetMode,
)
from fleetward.contracts.signals import INFERENCE_DURATION, PERCEPTION_DURATION
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, TelemetryFrame
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_slots import tiny_models


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def published(fleet: Fleet, name: str, gain: float) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, name, gain=gain)
    fleet.publish_model(made)
    return made


async def activated(fleet: Fleet, model: StagedModel, generation: int) -> ModelActivated:
    await fleet.aim(model, generation)
    return await fleet.hears(ModelActivated, lambda fact: fact.generation == generation)


def digests_in(frame: TelemetryFrame, signal: str) -> set[str]:
    return {
        series.attributes.get(DIGEST_ATTRIBUTE, "")
        for series in frame.series
        if series.signal == signal
    }


async def test_a_shadow_is_compared_and_reported_and_its_answers_reach_telemetry_alone(
    fleet: Fleet,
) -> None:
    first, second = published(fleet, "v1", 1.0), published(fleet, "v2", 0.5)
    both, served, camera = {first.digest, second.digest}, list[InferenceDone](), Camera()
    camera.brightness = 200
    async with Bridge(fleet.settings(), source=camera, on_result=served.append) as bridge:
        await activated(fleet, first, 1)
        await fleet.aim(second, 2, mode=TargetMode.SHADOW)
        shadowed = await fleet.hears(ModelShadowed)
        assert (shadowed.digest, shadowed.generation) == (second.digest, 2)
        assert shadowed.frames >= 10
        assert shadowed.errors == 0
        assert shadowed.divergence == {"y": pytest.approx(0.5)}
        await fleet.stored(
            lambda frames: any(
                digests_in(frame, INFERENCE_DURATION.name) == both for frame in frames.values()
            )
        )
        assert all(
            digests_in(frame, PERCEPTION_DURATION.name) <= {""} for frame in fleet.frames.values()
        )
        assert {done.digest for done in served} == {first.digest}

        proof = await activated(fleet, second, 3)
        receipt = await fleet.receipt(3)
        assert (receipt.digest, receipt.boot_id) == (second.digest, bridge.boot_id)
        assert receipt.parity == {"y": pytest.approx(0.5)}
        assert receipt.parity_frames >= 10
        assert 0 < receipt.warm_up_p99_ms <= proof.warm_up_ms
        assert (receipt.backend, proof.backend) == ("onnxruntime", "onnxruntime")


async def test_a_shadow_is_kept_through_a_restart_until_the_next_target_and_reported_once(
    fleet: Fleet,
) -> None:
    first, second = published(fleet, "v1", 1.0), published(fleet, "v2", 0.5)
    for restarts in range(2):
        async with Bridge(fleet.settings(), source=Camera()) as bridge:
            if not restarts:
                await activated(fleet, first, 1)
                await fleet.aim(second, 2, mode=TargetMode.SHADOW)
                await fleet.hears(ModelShadowed)
            here = bridge.boot_id
            checked_in = await fleet.hears(
                RobotCheckedIn,
                lambda fact: fact.boot_id == here and fact.shadow_model == second.model,  # noqa: B023 (heard before the loop goes on)
            )
            assert TargetMode.SHADOW in checked_in.modes
            assert "shadow" in bridge.worker_pids
            if restarts:
                await activated(fleet, first, 3)
                assert "shadow" not in bridge.worker_pids
    assert fleet.count(ModelShadowed) == 1


async def test_a_shadow_that_fails_on_live_frames_is_reported_and_what_serves_serves_on(
    fleet: Fleet,
) -> None:
    first = published(fleet, "v1", 1.0)
    broken = tiny_models.failing(fleet.directory, "v2", on_black=False)
    fleet.publish_model(broken)
    camera = Camera()
    camera.brightness = 255
    async with Bridge(fleet.settings(), source=camera) as bridge:
        await activated(fleet, first, 1)
        await fleet.aim(broken, 2, mode=TargetMode.SHADOW)
        failed = await fleet.hears(ActivationFailed)
        assert (failed.stage, failed.generation) == (ActivationStage.SHADOW, 2)
        await fleet.hears(
            RobotCheckedIn, lambda fact: fact.generation == 2 and fact.shadow_model is None
        )
        assert bridge.active
        assert bridge.active.digest == first.digest
    assert fleet.count(ModelShadowed) == 0


async def test_what_serves_already_is_not_compared_with_itself(fleet: Fleet) -> None:
    first = published(fleet, "v1", 1.0)
    async with Bridge(fleet.settings(), source=Camera()):
        await activated(fleet, first, 1)
        await fleet.aim(first, 2, mode=TargetMode.SHADOW)
        failed = await fleet.hears(ActivationFailed)
        assert failed.stage is ActivationStage.SHADOW
        assert "serves here already" in failed.reason
