"""What each model of a set waits for, does and is told, by where the others stand."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from edge_bridge.converging.together import Standing, Together
from edge_bridge.errors import TogetherError
from fleetward.contracts.ids import ModelName, ModelRef, RolloutId, Version
from fleetward.contracts.robots import RobotTarget
from tests.unit.edge_bridge_bus.test_converge import target

NAMES = (ModelName("detector"), ModelName("segmenter"), ModelName("speech"))
READY_ONES = {Standing.READY, Standing.SERVES, Standing.PROVED}


def of(name: ModelName) -> RobotTarget:
    return replace(target("a", 3), model=ModelRef(name, Version("v2")), together=NAMES)


class Pipeline:
    """One that stands where it is put."""

    def __init__(self, target: RobotTarget | None, standing: Standing) -> None:
        self.target = target
        self.standing = standing
        self.told: list[str] = []

    def switch(self) -> Awaitable[None]:
        self.told.append("switch")
        self.standing = Standing.SERVES

        async def settle() -> None:
            self.told.append("settle")

        return settle()

    def interrupt(self) -> None:
        self.told.append("interrupt")


def robot(*standings: Standing) -> tuple[Together, list[Pipeline]]:
    """The three pipelines, each with its entry, and where they stand."""
    pipelines = [Pipeline(of(name), at) for name, at in zip(NAMES, standings, strict=True)]
    together = Together()
    for pipeline in pipelines:
        together.add(pipeline)
    return together, pipelines


@pytest.mark.parametrize("standing", Standing)
def test_a_switch_waits_until_each_of_the_others_may(standing: Standing) -> None:
    together, _ = robot(Standing.READY, Standing.READY, standing)
    reason = together.waits_for(of(NAMES[0]))
    assert bool(reason) is (standing not in READY_ONES)
    assert not reason or reason == f"it switches together with speech, which {standing.value}"


def test_a_switch_waits_for_one_that_has_not_taken_its_entry_yet() -> None:
    together, pipelines = robot(*[Standing.READY] * 3)
    pipelines[2].target = replace(of(NAMES[2]), rollout_id=RolloutId("another"))
    assert "speech, which has no such target yet" in together.waits_for(of(NAMES[0]))
    pipelines[2].target = None
    assert "speech, which has no such target yet" in together.waits_for(of(NAMES[0]))


async def test_whoever_switches_first_switches_all_before_anything_is_waited_for() -> None:
    together, (own, segmenter, speech) = robot(Standing.READY, Standing.READY, Standing.SERVES)
    settling = together.switch_others(of(NAMES[0]))
    assert (own.told, segmenter.told, speech.told) == ([], ["switch"], [])
    for each in settling:
        await each
    assert segmenter.told == ["switch", "settle"]


@pytest.mark.parametrize("standing", Standing)
def test_none_is_proved_before_all_are(standing: Standing) -> None:
    together, _ = robot(Standing.SERVES, Standing.PROVED, standing)
    assert together.are_proved(of(NAMES[0])) is (standing is Standing.PROVED)


@pytest.mark.parametrize("standing", Standing)
def test_one_that_failed_takes_the_others_back(standing: Standing) -> None:
    together, _ = robot(Standing.PREPARING, Standing.SERVES, standing)
    if standing is Standing.FAILED:
        with pytest.raises(TogetherError, match="together with speech:v2, which failed"):
            together.refuse_after_failure(of(NAMES[0]))
    else:
        together.refuse_after_failure(of(NAMES[0]))
    returns = standing in {Standing.FAILED, Standing.LEFT}
    assert bool(together.reason_to_return(of(NAMES[0]))) is returns


def test_the_others_are_told_of_a_failure_at_once_but_not_who_failed_before() -> None:
    together, (own, segmenter, speech) = robot(Standing.FAILED, Standing.SERVES, Standing.FAILED)
    together.tell_failed(of(NAMES[0]))
    assert (own.told, segmenter.told, speech.told) == ([], ["interrupt"], [])


def test_a_model_that_switches_alone_has_nobody_to_wait_for() -> None:
    together, _ = robot(*[Standing.FAILED] * 3)
    alone = replace(of(NAMES[0]), together=())
    together.refuse_after_failure(alone)
    assert together.waits_for(alone) == together.reason_to_return(alone) == ""
    assert together.are_proved(alone)
    assert list(together.switch_others(alone)) == []


def test_a_set_that_is_taken_back_is_not_refused_by_one_that_failed_on_its_way_there() -> None:
    together, (_, segmenter, speech) = robot(Standing.PREPARING, Standing.PROVED, Standing.FAILED)
    later = replace(of(NAMES[0]), issued_at=of(NAMES[0]).issued_at + timedelta(seconds=1))
    segmenter.target = replace(later, model=segmenter.target.model) if segmenter.target else None
    together.refuse_after_failure(later)
    assert together.reason_to_return(later) == ""
    assert "speech, which has no such target yet" in together.waits_for(later)
    assert not together.are_proved(later), "speech has not taken its return yet"
    speech.target = replace(later, model=of(NAMES[2]).model)
    speech.standing = Standing.PROVED
    assert together.are_proved(later)
