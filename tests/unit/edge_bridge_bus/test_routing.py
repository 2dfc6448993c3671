"""Each model of a target goes to its own pipeline, and to no other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edge_bridge.converging.routing import routed
from fleetward.contracts.ids import ModelName, ModelRef, Version
from fleetward.contracts.robots import RobotTarget
from tests.unit.edge_bridge_bus.test_converge import target

SEGMENTER, SPEECH = ModelName("segmenter"), ModelName("speech")


def of(name: ModelName, generation: int) -> RobotTarget:
    return replace(target("a", generation), model=ModelRef(name, Version("v1")))


def test_a_robot_with_one_pipeline_takes_whichever_model_its_target_names() -> None:
    found = routed(of(SEGMENTER, 1), ())
    assert (found.targets, found.refused) == ({None: of(SEGMENTER, 1)}, ())


def test_models_find_their_pipelines_wherever_they_stand_in_the_target() -> None:
    detector = target("b", 7)
    whole = replace(of(SEGMENTER, 3), beside=(detector, of(SPEECH, 2)))
    assert routed(whole, {SEGMENTER, SPEECH}).targets == {
        None: detector,
        SEGMENTER: of(SEGMENTER, 3),
        SPEECH: of(SPEECH, 2),
    }


def test_a_model_without_a_pipeline_does_not_take_the_place_of_another() -> None:
    found = routed(replace(target("b", 7), beside=(of(SPEECH, 2),)), {SEGMENTER})
    assert found.targets == {None: target("b", 7)}
    ((refused, reason),) = found.refused
    assert refused == of(SPEECH, 2)
    assert reason.startswith("speech:v1 and det:b have no pipelines of their own on r1")


def test_two_versions_of_one_model_are_one_too_many() -> None:
    found = routed(replace(of(SEGMENTER, 3), beside=(of(SEGMENTER, 2),)), {SEGMENTER})
    assert found.targets == {SEGMENTER: of(SEGMENTER, 3)}
    assert "are one model" in found.refused[0][1]


def test_a_pipeline_does_not_go_to_a_model_from_which_it_cannot_come_back() -> None:
    leads_astray = replace(of(SEGMENTER, 3), fallback=target("b", 1).model)
    found = routed(leads_astray, {SEGMENTER})
    assert found.targets == {}
    assert "cannot fall back to det:b" in found.refused[0][1]
    assert routed(leads_astray, ()).refused == ()


def test_a_set_without_a_place_for_each_of_its_models_has_none_for_any() -> None:
    names = (ModelName("det"), SEGMENTER)
    detector, segmenter = (
        replace(each, together=names) for each in (target("b", 7), of(SEGMENTER, 3))
    )
    whole = replace(detector, beside=(segmenter,))
    assert routed(whole, {SEGMENTER}).targets == {None: detector, SEGMENTER: segmenter}
    for alone, pipelines in ((whole, ()), (detector, {SEGMENTER})):
        found = routed(alone, pipelines)
        assert found.targets == {}
        assert {each.model for each, _ in found.refused} == {each.model for each in alone.entries}


@pytest.mark.parametrize("newer", ["det", "yolo"])
def test_a_set_is_whole_still_when_one_of_its_places_has_moved_on(newer: str) -> None:
    names = (ModelName("det"), SEGMENTER)
    segmenter = replace(of(SEGMENTER, 3), together=names)
    moved_on = replace(target("c", 8), model=replace(target("c", 8).model, name=ModelName(newer)))
    found = routed(replace(moved_on, beside=(segmenter,)), {SEGMENTER})
    assert found.targets == {None: moved_on, SEGMENTER: segmenter}
    assert found.refused == ()
