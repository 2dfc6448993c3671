"""Models that switch together: every one is warm first, then all serve at once, or none does."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.bridge import Bridge
from edge_bridge.converging import under_way
from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.logs import Said
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
)
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_bridge.test_pipelines import (
    DETECTOR,
    SEGMENTER,
    Results,
    activated,
    model,
    standing,
    with_a_segmenter,
)
from tests.integration.edge_slots import tiny_models

TOGETHER = (DETECTOR, SEGMENTER)


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


async def aim_both(
    fleet: Fleet,
    detector: StagedModel,
    segmenter: StagedModel,
    generation: int,
    health_window_s: float = 1.0,
) -> None:
    """One rollout of both, which switch together."""
    beside = fleet.target(segmenter, generation, together=TOGETHER, health_window_s=health_window_s)
    await fleet.aim(
        detector,
        generation,
        together=TOGETHER,
        beside=(beside,),
        health_window_s=health_window_s,
    )


async def served_by_both(fleet: Fleet) -> tuple[StagedModel, StagedModel]:
    """The first version of each, proved."""
    first = (model(fleet, DETECTOR, "v1", 1.0), model(fleet, SEGMENTER, "v1", 0.9))
    await aim_both(fleet, *first, 1)
    for each in first:
        await activated(fleet, each)
    return first


def failing(fleet: Fleet, *, on_black: bool) -> StagedModel:
    made = tiny_models.failing(fleet.directory, "segmenter-bad", on_black=on_black)
    named = replace(made, model=ModelRef(SEGMENTER, Version("bad")))
    fleet.publish_model(named)
    return named


async def failure_of(fleet: Fleet, model: StagedModel) -> ActivationFailed:
    return await fleet.hears(ActivationFailed, lambda fact: fact.model == model.model)


async def activated_again(fleet: Fleet, name: ModelName) -> ModelActivated:
    return await fleet.hears(
        ModelActivated, lambda fact: fact.generation == 3 and fact.model.name == name
    )


def swaps(caplog: pytest.LogCaptureFixture, generation: int) -> int:
    """How many pipelines set out to switch: whoever does switches all in that turn of the loop."""
    said = [record.msg for record in caplog.records if isinstance(record.msg, Said)]
    return sum(
        each.event == "bridge.swap" and each.fields["generation"] == generation for each in said
    )


async def test_two_models_switch_in_one_turn_of_the_loop_once_both_are_warm(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, under_way.__name__)
    results, camera = Results(), Camera()
    facts = fleet.directory / "facts.json"
    settings = with_a_segmenter(fleet, facts_path=facts, fact_max_age_s=60.0)
    async with Bridge(settings, source=camera, on_result=results) as bridge:
        old = await served_by_both(fleet)
        new = (model(fleet, DETECTOR, "v2", 0.8), model(fleet, SEGMENTER, "v2", 0.7))
        beside = fleet.target(new[1], 2, together=TOGETHER, interlocks=("docked",))
        await fleet.aim(new[0], 2, together=TOGETHER, beside=(beside,))
        held = await fleet.hears(RobotCheckedIn, lambda fact: "docked" in standing(fact).held_back)
        waiting = await fleet.hears(RobotCheckedIn, lambda fact: bool(fact.held_back))
        assert "it switches together with segmenter, which is not warm yet" in waiting.held_back
        await fleet.hears(RobotCheckedIn, lambda fact: fact.sequence > held.sequence + 1)
        assert [results.digests(name) for name in (None, SEGMENTER)] == [
            {each.digest} for each in old
        ], "one of them may not switch: none does"
        facts.write_text('{"docked": true}')
        for each in new:
            await activated(fleet, each)
        switched = [
            next(done.captured_ns for done in results.of[name] if done.digest == each.digest)
            for name, each in zip((None, SEGMENTER), new, strict=True)
        ]
        assert abs(switched[0] - switched[1]) < 35e6, (
            "their first frames are the camera's same or next"
        )
        assert swaps(caplog, 2) == 1, "one of them switched both"
        assert bridge.ledger.frames_failed == 0


@pytest.mark.parametrize("when", ["it loads", "it serves"])
async def test_a_member_that_fails_takes_the_other_back(fleet: Fleet, when: str) -> None:
    results, camera = Results(), Camera()
    async with Bridge(with_a_segmenter(fleet), source=camera, on_result=results) as bridge:
        old = await served_by_both(fleet)
        detector = model(fleet, DETECTOR, "v2", 0.8)
        camera.brightness = 255
        bad = failing(fleet, on_black=when == "it loads")
        beside = fleet.target(bad, 2, together=TOGETHER)
        await fleet.aim(detector, 2, together=TOGETHER, beside=(beside,), proof_inferences=1)
        failed = await failure_of(fleet, bad)
        assert failed.stage is (
            ActivationStage.WARM_UP if when == "it loads" else ActivationStage.PROOF
        )
        taken = await failure_of(fleet, detector)
        assert taken.stage is ActivationStage.SWAP
        assert "detector:v2 switches together with segmenter:bad, which failed" in taken.reason
        await fleet.hears(
            RobotCheckedIn,
            lambda fact: (
                (fact.generation, fact.active_digest) == (2, old[0].digest)
                and standing(fact).active_digest == old[1].digest
                and fact.staged_model is None
            ),
        )
        assert fleet.count(ModelActivated) == 2
        if when == "it loads":
            assert results.digests(None) == {old[0].digest}
        assert (bridge.active and bridge.active.digest) == old[0].digest


async def test_a_member_that_is_left_in_its_window_takes_the_other_with_it(fleet: Fleet) -> None:
    camera = Camera()
    async with Bridge(with_a_segmenter(fleet), source=camera) as bridge:
        old = await served_by_both(fleet)
        new = (model(fleet, DETECTOR, "v2", 0.8), model(fleet, SEGMENTER, "v2", 0.7))
        await aim_both(fleet, *new, 2, health_window_s=60.0)
        for each in new:
            await activated(fleet, each)
        os.kill(bridge.pipeline(SEGMENTER).worker_pids["active"], signal.SIGKILL)
        fell = await fleet.hears(ModelFellBack, lambda fact: fact.from_digest == new[0].digest)
        assert "it switched together with segmenter:v2, which was left again" in fell.reason
        assert fell.to_digest == old[0].digest
        await fleet.hears(ModelFellBack, lambda fact: fact.from_digest == new[1].digest)


async def test_a_set_that_has_no_place_for_one_of_its_models_begins_none(fleet: Fleet) -> None:
    async with Bridge(fleet.settings(), source=Camera()):
        first = (model(fleet, DETECTOR, "v1", 1.0), model(fleet, SEGMENTER, "v1", 0.9))
        await aim_both(fleet, *first, 1)
        for each in first:
            failed = await failure_of(fleet, each)
            assert failed.stage is ActivationStage.TARGET
        assert fleet.count(ModelActivated) == 0


async def test_a_set_goes_back_together_without_a_byte(fleet: Fleet) -> None:
    results = Results()
    async with Bridge(with_a_segmenter(fleet), source=Camera(), on_result=results):
        old = await served_by_both(fleet)
        new = (model(fleet, DETECTOR, "v2", 0.8), model(fleet, SEGMENTER, "v2", 0.7))
        await aim_both(fleet, *new, 2, health_window_s=60.0)
        for each in new:
            await activated(fleet, each)
        asked = len(fleet.objects.ranges)
        await aim_both(fleet, *old, 3)
        for name in TOGETHER:
            await activated_again(fleet, name)
        assert len(fleet.objects.ranges) == asked
