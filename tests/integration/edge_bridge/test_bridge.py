"""The embedded bridge on a real NATS server with real workers: from target to proof and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.fetching.limits import FetchLimits, RangeLimits
from edge_bridge.state_dir import AlreadyRunningError
from edge_bridge.telemetry.spool import Spool
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
)
from fleetward.contracts.signals import SIGNALS
from fleetward.contracts.telemetry import TelemetryFrame
from fleetward.trust.signing import MANIFEST
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def model(fleet: Fleet, name: str, gain: float = 1.0) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, name, gain=gain)
    fleet.publish_model(made)
    return made


async def activate(fleet: Fleet, wanted: StagedModel, generation: int) -> ModelActivated:
    await fleet.aim(wanted, generation)
    return await fleet.hears(ModelActivated, lambda fact: fact.generation == generation)


async def test_a_target_is_fetched_verified_staged_swapped_proved_and_reported(
    fleet: Fleet,
) -> None:
    first = model(fleet, "v1")
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        proof = await activate(fleet, first, 1)
        assert (proof.digest, proof.model) == (first.digest, first.model)
        assert proof.inferences >= 10
        chunks = fleet.registry.manifests[first.digest].chunks
        assert chunks
        assert proof.bytes_fetched == first.path.stat().st_size + chunks.size_bytes
        assert proof.bytes_planned == proof.bytes_fetched
        checked_in = await fleet.hears(
            RobotCheckedIn, lambda fact: fact.active_digest == first.digest and fact.generation == 1
        )
        assert first.digest in checked_in.cached_digests
        assert bridge.active
        assert (bridge.active.model, bridge.active.digest) == (first.model, first.digest)


async def test_a_rollback_within_the_window_moves_no_byte(fleet: Fleet) -> None:
    first, second = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        await activate(fleet, first, 1)
        await fleet.aim(second, 2, health_window_s=60)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)
        asked = len(fleet.objects.ranges)
        back = await activate(fleet, first, 3)
        assert (back.bytes_fetched, back.warm_up_ms) == (0, 0.0)
        assert len(fleet.objects.ranges) == asked
        assert bridge.active
        assert bridge.active.digest == first.digest


async def test_after_the_window_the_model_before_is_retired_and_comes_from_the_store(
    fleet: Fleet,
) -> None:
    first, second = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    async with Bridge(fleet.settings(), source=Camera()):
        await activate(fleet, first, 1)
        await fleet.aim(second, 2, health_window_s=0.1)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)
        await fleet.hears(
            RobotCheckedIn,
            lambda fact: fact.active_digest == second.digest and fact.warm_digest is None,
        )
        asked = len(fleet.objects.ranges)
        back = await activate(fleet, first, 3)
        assert back.bytes_fetched == 0
        assert len(fleet.objects.ranges) == asked


async def test_a_model_that_fails_on_real_frames_is_reported_once_and_blue_serves_on(
    fleet: Fleet,
) -> None:
    first = model(fleet, "v1")
    broken = tiny_models.failing(fleet.directory, "v2", on_black=False)
    fleet.publish_model(broken)
    camera = Camera()
    camera.brightness = 255
    async with Bridge(fleet.settings(), source=camera) as bridge:
        await activate(fleet, first, 1)
        await fleet.aim(broken, 2)
        failed = await fleet.hears(ActivationFailed)
        assert (failed.stage, failed.generation) == (ActivationStage.PROOF, 2)
        await fleet.hears(
            RobotCheckedIn,
            lambda fact: fact.generation == 2 and fact.active_digest == first.digest,
        )
        await fleet.aim(broken, 2)  # the same generation again is not tried again
        await activate(fleet, first, 3)
        assert fleet.count(ActivationFailed) == 1
        assert bridge.active
        assert bridge.active.digest == first.digest


async def test_a_model_that_turns_bad_in_its_window_is_left_by_the_robot_itself_and_unplugged(
    fleet: Fleet,
) -> None:
    """No hub, no byte; and nobody renewed the metadata by the time the hub is back."""
    first = model(fleet, "v1")
    broken = tiny_models.failing(fleet.directory, "v2", on_black=False)
    fleet.publish_model(broken)
    camera = Camera()
    async with Bridge(fleet.settings(), source=camera) as bridge:
        await activate(fleet, first, 1)
        await fleet.aim(broken, 2, health_window_s=60)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)
        asked = len(fleet.objects.ranges)
        await fleet.system.kill()
        camera.brightness = 255
        async with asyncio.timeout(WAIT_S):
            while not bridge.active or bridge.active.digest != first.digest:  # noqa: ASYNC110 (who would tell is dead)
                await asyncio.sleep(0.05)
        fleet.ahead = timedelta(days=30)
        await fleet.system.restart()
        fell = await fleet.hears(ModelFellBack)
        assert (fell.from_digest, fell.to_digest) == (broken.digest, first.digest)
        assert (fell.generation, bridge.active.digest) == (2, first.digest)
        assert "inferences failed" in fell.reason
        assert len(fleet.objects.ranges) == asked


async def test_a_file_that_is_no_model_is_reported_at_the_load_stage(fleet: Fleet) -> None:
    first = model(fleet, "v1")
    path = fleet.directory / "v2.onnx"
    path.write_bytes(b"this is no model" * 100)
    fleet.publish_model(tiny_models.staged(path))
    async with Bridge(fleet.settings(), source=Camera()):
        await activate(fleet, first, 1)
        await fleet.aim(tiny_models.staged(path), 2)
        failed = await fleet.hears(ActivationFailed)
        assert failed.stage is ActivationStage.LOAD


async def test_targets_that_are_old_foreign_or_not_signed_change_nothing(fleet: Fleet) -> None:
    first, second = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        await activate(fleet, first, 5)
        await fleet.aim(second, 4)
        await fleet.aim(second, 6, robot=RobotId("r2"))
        await fleet.aim(second, 7, key=MANIFEST)
        failed = await fleet.hears(ActivationFailed)
        assert (failed.stage, failed.generation) == (ActivationStage.TARGET, 7)
        await activate(fleet, first, 8)
        assert bridge.active
        assert bridge.active.digest == first.digest
        assert {fact.generation for fact in fleet.heard if isinstance(fact, ModelActivated)} == {
            5,
            8,
        }


async def test_a_newer_target_interrupts_a_fetch_that_does_not_move(fleet: Fleet) -> None:
    first, second = model(fleet, "v1"), model(fleet, "v2", gain=0.5)
    released = asyncio.Event()
    async with Bridge(fleet.settings(), source=Camera()):
        fleet.objects.faults = [fleet.objects.stall(10, released)]
        await fleet.aim(first, 1)
        await fleet.objects.begun.wait()
        proof = await activate(fleet, second, 2)
        released.set()
        assert proof.digest == second.digest
        assert fleet.count(ActivationFailed) == 0


async def test_a_robot_says_how_far_its_fetch_is(fleet: Fleet) -> None:
    first = model(fleet, "v1")
    released = asyncio.Event()
    patience = FetchLimits(ranges=RangeLimits(stall_timeout_s=1.5))
    async with Bridge(fleet.settings(fetch=patience), source=Camera()):
        fleet.objects.faults = [fleet.objects.well(), fleet.objects.stall(10, released)]
        await fleet.aim(first, 1)
        checked_in = await fleet.hears(
            RobotCheckedIn, lambda fact: bool(fact.fetching and fact.fetching.bytes_done)
        )
        released.set()
        assert checked_in.fetching
        chunks = fleet.registry.manifests[first.digest].chunks
        assert chunks
        assert checked_in.fetching.model == first.model
        assert checked_in.fetching.bytes_total == chunks.size_bytes + first.path.stat().st_size
        assert chunks.size_bytes <= checked_in.fetching.bytes_done <= chunks.size_bytes + 10
        await fleet.hears(ModelActivated)
        await fleet.hears(
            RobotCheckedIn, lambda fact: bool(fact.active_model and not fact.fetching)
        )


async def test_samples_arrive_stored_once_and_the_spool_is_trimmed(fleet: Fleet) -> None:
    first = model(fleet, "v1")
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        bridge.record("robot.control_loop.duration", 0.001)
        await activate(fleet, first, 1)
        await fleet.stored(lambda frames: max((number for _, number in frames), default=0) >= 8)
        seen = {series.signal for frame in fleet.frames.values() for series in frame.series}
        assert seen <= {signal.name for signal in SIGNALS}
        assert {"model.inference.duration", "model.output.mean", "link.rtt"} <= seen
        assert "robot.control_loop.duration" in seen
        digests = {
            series.attributes.get("digest")
            for frame in fleet.frames.values()
            for series in frame.series
            if series.signal == "model.inference.duration"
        }
        assert digests == {first.digest}
        sent = max(number for _, number in fleet.frames)
        await fleet.stored(lambda frames: max(number for _, number in frames) > sent)
    spool = Spool(fleet.settings().state_dir / "spool.db", 10**9)
    left = [one.frame.sequence for one in spool.waiting(0, 1000, 1000)]
    assert 1 not in left
    assert len(left) < sent


async def test_nothing_is_lost_when_the_hub_is_killed(fleet: Fleet) -> None:
    first = model(fleet, "v1")
    camera = Camera()
    async with Bridge(fleet.settings(), source=camera) as bridge:
        await activate(fleet, first, 1)
        await fleet.system.kill()
        bridge.record("link.reconnects", 41.0)
        await camera.shows(25)  # half a second of offline telemetry
        await fleet.system.restart()
        await fleet.stored(lambda frames: any(_holds(frame, 41.0) for frame in frames.values()))
        numbers = {number for boot, number in fleet.frames if boot == bridge.boot_id}
        assert numbers == set(range(1, max(numbers) + 1))
        assert bridge.connected


async def test_a_robot_that_lost_every_model_fetches_its_target_again(fleet: Fleet) -> None:
    first = model(fleet, "v1")
    async with Bridge(fleet.settings(), source=Camera()) as bridge:
        await activate(fleet, first, 1)
        assert bridge.active
        path = bridge.active.path
    path.unlink()
    fleet.heard.clear()
    async with Bridge(fleet.settings(), source=Camera()):
        again = await fleet.hears(ModelActivated)
        assert (again.generation, again.digest) == (1, first.digest)


async def test_a_second_bridge_in_the_same_directory_is_refused(fleet: Fleet) -> None:
    async with Bridge(fleet.settings(), source=Camera()):
        with pytest.raises(AlreadyRunningError, match="another bridge"):
            async with Bridge(fleet.settings(), source=Camera()):
                pytest.fail("two bridges run")


def _holds(frame: TelemetryFrame, value: float) -> bool:
    return value in np.frombuffer(frame.values, "<f8")
