"""Models that switch together are planned whole, for robots that have a place for each."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.members import SetProgress
from fleetward.contracts.ownership import owners
from fleetward.contracts.rollouts import RolloutRequested, RolloutState, Strategy
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.excluded import excluded
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.gates import plan_of
from rollout_coordinator.joining import candidates, matched
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import previewed
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.pipeline_scenes import (
    DETECTS,
    NEW_SIGHT,
    OLD_SIGHT,
    R1,
    SEES,
    SEES_BETTER,
    SEGMENTER,
    SEGMENTS,
    knowing,
    says,
    segmenting,
    standing,
    told,
)
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    NEW_MODEL,
    OLD_MODEL,
    START,
    after,
)
from tests.unit.rollout_coordinator.set_scenes import (
    asked,
    held,
    planned_set,
    started_set,
    with_records,
)
from tests.unit.rollout_coordinator.test_plan import RECORD

WITH_A_SEGMENTER = says(standing(SEGMENTER, 7, OLD_SIGHT))
R2 = scenes.robot(2)


def ready() -> Fleet:
    """r1 serves both, r2 has no pipelines and serves nothing."""
    known = knowing(told(SEGMENTS, DETECTS), WITH_A_SEGMENTER)
    other = replace(known.robots[0], robot_id=R2)
    return with_records(replace(known, robots=(*known.robots, other)))


def test_a_set_is_planned_for_who_has_a_place_for_each_model_and_the_others_are_told_why() -> None:
    rollout = planned(asked(), RECORD, ready(), START)
    assert set(rollout.robots) == {R1}
    assert (rollout.model, rollout.together[0].model) == (NEW_MODEL, SEES_BETTER)
    progress = held(rollout)
    assert (progress.generation, progress.previous) == (4, OLD_MODEL)
    assert isinstance(progress.together, SetProgress)
    (sight,) = progress.together.members
    assert (sight.generation, sight.previous, sight.previous_digest) == (7, SEES, OLD_SIGHT)
    assert set(owners([rollout])) == {(R1, None), (R1, SEGMENTER)}
    why = (
        "it has one pipeline for detector and segmenter: name all but one of them in "
        "FLEETWARD_PIPELINES on the robot"
    )
    assert excluded(rollout, asked(), RECORD, ready(), START) == {R2: why}
    preview = previewed(asked(), RECORD, ready(), START)
    assert [(group.named, group.reason) for group in preview.left_out] == [((R2,), why)]
    assert [each.model for each in preview.together] == [SEES_BETTER]


def test_a_set_that_nobody_has_the_places_for_is_refused_and_the_dry_run_says_who() -> None:
    alone = with_records(knowing(DETECTS, says()))
    with pytest.raises(
        PlanRefusedError, match="detector:2 and segmenter:2; of r1: it has one pipe"
    ):
        planned(asked(), RECORD, alone, START)
    preview = previewed(asked(), RECORD, alone, START)
    assert preview.refusal
    assert preview.left_out[0].named == (R1,)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (asked("detector:1"), "detector is named twice"),
        (asked("speech:1"), "no model is called 'speech'"),
        (asked("segmenter:9"), "has no version '9'"),
        (asked(strategy=Strategy.SHADOW), "never switch"),
        (asked(*(f"m{number}:1" for number in range(8))), "9 models are to switch together"),
    ],
)
def test_what_cannot_be_a_set_is_refused(wanted: RolloutRequested, why: str) -> None:
    with pytest.raises(PlanRefusedError, match=why):
        planned(wanted, RECORD, ready(), START)
    assert why in previewed(wanted, RECORD, ready(), START).refusal


def test_a_withdrawn_member_refuses_the_set_and_takes_it_back() -> None:
    gone = replace(ready(), withdrawn={NEW_SIGHT: "sees ghosts"})
    with pytest.raises(PlanRefusedError, match="segmenter:2 was withdrawn"):
        planned(asked(), RECORD, gone, START)
    halted = after(started_set(), (scenes.withdrawn(NEW_SIGHT), 1))
    assert halted.state is RolloutState.REVERTING
    assert halted.reason == "segmenter:2 was withdrawn: sees ghosts"


def test_a_robot_that_serves_all_of_a_set_but_one_is_given_all_of_it() -> None:
    half = told(replace(DETECTS, model=NEW_MODEL, digest=NEW), SEGMENTS)
    known = with_records(knowing(half, WITH_A_SEGMENTER))
    rollout = planned(asked(), RECORD, known, START)
    assert held(rollout).previous_digest is None, "nobody returns to what he is given"
    full = told(half, replace(SEGMENTS, model=SEES_BETTER, digest=NEW_SIGHT))
    with pytest.raises(PlanRefusedError, match="already given detector:2, segmenter:2"):
        planned(asked(), RECORD, with_records(knowing(full, WITH_A_SEGMENTER)), START)


def test_who_joins_a_continuous_set_later_is_given_all_of_it() -> None:
    known = ready()
    running = replace(
        planned(asked(), RECORD, known, START), robots={}, waves=((),), selector="all"
    )
    assert candidates(running, known, START) == (R1,)
    assert candidates(running, replace(known, open_rollouts=(segmenting(),)), START) == ()
    (progress,) = matched(running, (R1, R2), known).robots.values()
    assert isinstance(progress.together, SetProgress)


def test_an_approval_is_of_every_model_of_a_set() -> None:
    one = planned_set()
    other = replace(one, together=(replace(one.together[0], digest=OLD_SIGHT),))
    assert len({plan_of(one), plan_of(other), plan_of(replace(one, together=()))}) == 3
