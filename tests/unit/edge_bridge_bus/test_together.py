"""What each model of a set waits for, does and is told, by where the others stand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.together import Standing
from edge_bridge.errors import TogetherError
from fleetward.contracts.ids import RolloutId
from tests.unit.edge_bridge_bus.model_set import NAMES, Robot, of

READY_ONES = {Standing.READY, Standing.SERVES, Standing.PROVED}

Made = Callable[..., Robot]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return partial(Robot, tmp_path)


@pytest.mark.parametrize("standing", Standing)
def test_a_switch_waits_until_each_of_the_others_may(made: Made, standing: Standing) -> None:
    robot = made(Standing.READY, Standing.READY, standing)
    reason = robot.together.waits_for(of(NAMES[0]))
    assert bool(reason) is (standing not in READY_ONES)
    assert not reason or reason == f"it switches together with speech, which {standing.value}"


def test_a_switch_waits_for_one_that_has_not_taken_its_entry_yet(made: Made) -> None:
    robot = made(*[Standing.READY] * 3)
    robot.pipelines[2].target = replace(of(NAMES[2]), rollout_id=RolloutId("another"))
    assert "speech, which has no such target yet" in robot.together.waits_for(of(NAMES[0]))
    robot.pipelines[2].target = None
    assert "speech, which has no such target yet" in robot.together.waits_for(of(NAMES[0]))


async def test_whoever_switches_first_switches_all_before_anything_is_waited_for(
    made: Made,
) -> None:
    robot = made(Standing.READY, Standing.READY, Standing.SERVES)
    own, segmenter, speech = robot.pipelines
    settling = robot.together.switch_others(of(NAMES[0]))
    assert (own.told, segmenter.told, speech.told) == ([], ["switch"], [])
    for each in settling:
        await each
    assert segmenter.told == ["switch", "settle"]


@pytest.mark.parametrize("standing", Standing)
def test_one_that_failed_takes_the_others_back(made: Made, standing: Standing) -> None:
    together = made(Standing.PREPARING, Standing.SERVES, standing).together
    if standing is Standing.FAILED:
        with pytest.raises(TogetherError, match="together with speech:v2, which failed"):
            together.refuse_after_failure(of(NAMES[0]))
    else:
        together.refuse_after_failure(of(NAMES[0]))


def test_the_others_are_told_of_a_failure_at_once_but_not_who_failed_before(made: Made) -> None:
    robot = made(Standing.FAILED, Standing.SERVES, Standing.FAILED)
    robot.together.tell_failed(of(NAMES[0]))
    assert [each.told for each in robot.pipelines] == [[], ["interrupt"], []]


async def test_a_model_that_switches_alone_has_nobody_to_wait_for(made: Made) -> None:
    robot = made(Standing.PROVED, Standing.FAILED, Standing.FAILED)
    own, together = robot.pipelines[0], robot.together
    own.target = alone = replace(of(NAMES[0]), together=())
    together.refuse_after_failure(alone)
    assert together.waits_for(alone) == ""
    assert list(together.switch_others(alone)) == []
    assert await together.commit(own, alone)


async def test_a_set_that_is_taken_back_is_not_refused_by_one_that_failed_on_its_way_there(
    made: Made,
) -> None:
    robot = made(Standing.PROVED, Standing.PROVED, Standing.FAILED)
    later = [
        replace(of(name), issued_at=of(name).issued_at + timedelta(seconds=1)) for name in NAMES
    ]
    for pipeline, target in zip(robot.pipelines[:2], later[:2], strict=True):
        pipeline.target = target
    robot.together.refuse_after_failure(later[0])
    assert "speech, which has no such target yet" in robot.together.waits_for(later[0])
    own, speech = robot.pipelines[0], robot.pipelines[2]
    assert not await robot.together.commit(own, later[0]), "speech has not taken its return yet"
    speech.target, speech.standing = later[2], Standing.PROVED
    assert await robot.together.commit(own, later[0])
