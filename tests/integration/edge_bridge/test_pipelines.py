"""Two models on one robot: each has its own target, workers, account and samples."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.bridge import Bridge
from edge_bridge.errors import NoPipelineError
from edge_bridge.settings import Settings
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RolloutId, Version
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    PipelineStanding,
    RobotCheckedIn,
)
from fleetward.contracts.signals import INFERENCE_DURATION
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

DETECTOR, SEGMENTER = ModelName("detector"), ModelName("segmenter")
OTHER_ROLLOUT = RolloutId("ro2")


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def model(fleet: Fleet, name: ModelName, version: str, gain: float) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, f"{name}-{version}", gain=gain)
    named = replace(made, model=ModelRef(name, Version(version)))
    fleet.publish_model(named)
    return named


def with_a_segmenter(fleet: Fleet, **changes: object) -> Settings:
    return fleet.settings(pipelines={SEGMENTER: fleet.settings()}, **changes)


async def activated(fleet: Fleet, wanted: StagedModel) -> ModelActivated:
    return await fleet.hears(ModelActivated, lambda fact: fact.digest == wanted.digest)


def standing(fact: RobotCheckedIn) -> PipelineStanding:
    (only,) = fact.pipelines
    return only


class Results:
    """What each pipeline answered, in order, and the models it answered with."""

    def __init__(self) -> None:
        self.of: dict[ModelName | None, list[InferenceDone]] = {None: [], SEGMENTER: []}

    def __call__(self, done: InferenceDone) -> None:
        self.of[done.pipeline].append(done)

    def digests(self, name: ModelName | None) -> set[Digest]:
        return {done.digest for done in self.of[name]}


async def test_two_models_are_brought_served_measured_and_replaced_each_for_itself(
    fleet: Fleet,
) -> None:
    detector = model(fleet, DETECTOR, "v1", 1.0)
    first, second = (model(fleet, SEGMENTER, f"v{at}", 1 / (at + 1)) for at in (1, 2))
    results, camera = Results(), Camera()
    settings = with_a_segmenter(fleet)
    async with Bridge(settings, source=camera, on_result=results) as bridge:
        beside = fleet.target(first, 1, rollout_id=OTHER_ROLLOUT)
        await fleet.aim(detector, 1, beside=(beside,))
        assert (await activated(fleet, detector)).rollout_id == "ro1"
        assert (await activated(fleet, first)).rollout_id == OTHER_ROLLOUT
        segmenter = bridge.pipeline(SEGMENTER)
        assert (bridge.active and bridge.active.digest) == detector.digest
        assert (segmenter.active and segmenter.active.digest) == first.digest
        assert results.digests(None) == {detector.digest}
        assert results.digests(SEGMENTER) == {first.digest}

        # The newest change of any model stands first in the target; the others are named beside it.
        await fleet.aim(second, 2, beside=(fleet.target(detector, 1),))
        await activated(fleet, second)
        heard = await fleet.hears(
            RobotCheckedIn, lambda fact: standing(fact).active_digest == second.digest
        )
        assert (heard.generation, heard.active_digest) == (1, detector.digest)
        assert (standing(heard).name, standing(heard).generation) == (SEGMENTER, 2)
        assert fleet.count(ModelActivated) == 3
        assert results.digests(None) == {detector.digest}
        assert results.digests(SEGMENTER) == {first.digest, second.digest}
        for ledger in (bridge.ledger, segmenter.ledger):
            assert (ledger.frames_failed, ledger.frames_reissued) == (0, 0)
            assert ledger.frames_served > 10
        await fleet.stored(lambda frames: _models(fleet) == {"", SEGMENTER})


def _models(fleet: Fleet) -> set[str]:
    """Of which models' pipelines inferences were measured."""
    return {
        series.attributes.get("model", "")
        for frame in fleet.frames.values()
        for series in frame.series
        if series.signal == INFERENCE_DURATION.name
    }


async def test_a_robot_that_restarts_without_its_hub_serves_both_models_again(fleet: Fleet) -> None:
    detector, segmenter = model(fleet, DETECTOR, "v1", 1.0), model(fleet, SEGMENTER, "v1", 0.5)
    settings = with_a_segmenter(fleet)
    async with Bridge(settings, source=Camera()):
        await fleet.aim(detector, 1, beside=(fleet.target(segmenter, 4),))
        await activated(fleet, detector)
        await activated(fleet, segmenter)
    camera, results = Camera(), Results()
    unplugged = replace(settings, nats_url="nats://127.0.0.1:1")
    async with Bridge(unplugged, source=camera, on_result=results):
        while not (results.of[None] and results.of[SEGMENTER]):
            await camera.shows(1)
        assert results.digests(None) == {detector.digest}
        assert results.digests(SEGMENTER) == {segmenter.digest}


async def test_one_models_worker_dies_and_the_other_model_never_hears_of_it(fleet: Fleet) -> None:
    detector, segmenter = model(fleet, DETECTOR, "v1", 1.0), model(fleet, SEGMENTER, "v1", 0.5)
    camera = Camera()
    async with Bridge(with_a_segmenter(fleet), source=camera) as bridge:
        await fleet.aim(detector, 1, beside=(fleet.target(segmenter, 1),))
        await activated(fleet, detector)
        await activated(fleet, segmenter)
        beside = bridge.pipeline(SEGMENTER)
        serving, died = bridge.worker_pids["active"], beside.worker_pids["active"]
        os.kill(died, signal.SIGKILL)
        while beside.worker_pids.get("active") in {None, died}:
            await camera.shows(1)
        assert bridge.worker_pids["active"] == serving
        assert bridge.ledger.frames_reissued == 0
        assert (beside.active and beside.active.digest) == segmenter.digest


async def test_a_model_without_a_pipeline_is_reported_and_the_robots_own_serves_on(
    fleet: Fleet,
) -> None:
    detector = model(fleet, DETECTOR, "v1", 1.0)
    speech = model(fleet, ModelName("speech"), "v1", 0.5)
    async with Bridge(with_a_segmenter(fleet), source=Camera()) as bridge:
        beside = fleet.target(speech, 1, rollout_id=OTHER_ROLLOUT)
        await fleet.aim(detector, 1, beside=(beside,))
        failed = await fleet.hears(ActivationFailed)
        assert (failed.rollout_id, failed.stage) == (OTHER_ROLLOUT, ActivationStage.TARGET)
        assert "speech:v1 and detector:v1 have no pipelines of their own on r1" in failed.reason
        assert (await activated(fleet, detector)).generation == 1
        assert (bridge.active and bridge.active.digest) == detector.digest
        with pytest.raises(
            NoPipelineError, match="speech has no pipeline of its own here; segmenter"
        ):
            bridge.pipeline(ModelName("speech"))
