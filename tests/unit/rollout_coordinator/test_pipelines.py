"""Several models on a robot: each rollout sees and writes its own, and keeps out of the others' way."""

from __future__ import annotations

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.control import OnConflict
from fleetward.contracts.ids import ModelName
from fleetward.contracts.ownership import owners
from fleetward.contracts.robots import RobotCheckedIn, RobotTarget
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutState,
)
from rollout_coordinator.advance import begun
from rollout_coordinator.conflicts import given_since, to_supersede
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.excluded import excluded
from rollout_coordinator.giving import follows, given, overtaken_by
from rollout_coordinator.places_told import also_of, where_given
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import previewed
from rollout_coordinator.replan import overtaken
from rollout_coordinator.step import Step
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.pipeline_scenes import (
    DETECTS,
    HEARS,
    NEW_SIGHT,
    OLD_SIGHT,
    R1,
    SEES,
    SEGMENTER,
    SEGMENTERS,
    SEGMENTS,
    SPEECH,
    THERE,
    detecting,
    knowing,
    says,
    segmenting,
    standing,
    told,
)
from tests.unit.rollout_coordinator.scenes import HERE, NEW, OLD, OLD_MODEL, START, after
from tests.unit.rollout_coordinator.test_plan import RECORD, request

ALONE = says()
WITH_A_SEGMENTER = says(standing(SEGMENTER, 7, OLD_SIGHT))
WITH_BOTH = says(standing(SEGMENTER, 7, OLD_SIGHT), standing(ModelName("detector"), 3, OLD))
NOTHING = (0, None, None)
THE_DETECTOR = (4, OLD_MODEL, OLD)
THE_SEGMENTER = (7, SEES, OLD_SIGHT)

# What was given last, and by whose check-in it is read: where a rollout of each model begins.
BEGINNINGS: list[tuple[RobotTarget | None, RobotCheckedIn | None, object, object]] = [
    (None, None, NOTHING, NOTHING),
    (None, ALONE, NOTHING, NOTHING),
    (None, WITH_A_SEGMENTER, (4, None, None), (7, None, None)),
    (DETECTS, None, THE_DETECTOR, THE_DETECTOR),
    (DETECTS, ALONE, THE_DETECTOR, THE_DETECTOR),
    (DETECTS, WITH_A_SEGMENTER, THE_DETECTOR, (7, None, None)),
    (DETECTS, WITH_BOTH, THE_DETECTOR, (7, None, None)),
    (told(DETECTS, SEGMENTS), WITH_A_SEGMENTER, THE_DETECTOR, THE_SEGMENTER),
    (told(SEGMENTS, DETECTS), WITH_A_SEGMENTER, THE_DETECTOR, THE_SEGMENTER),
    (told(SEGMENTS, HEARS, DETECTS), WITH_BOTH, THE_DETECTOR, THE_SEGMENTER),
    (told(SEGMENTS, DETECTS), ALONE, THE_SEGMENTER, THE_SEGMENTER),
]


@pytest.mark.parametrize(("target", "said", "of_detector", "of_segmenter"), BEGINNINGS)
def test_a_rollout_begins_with_what_stands_at_its_models_place(
    target: RobotTarget | None,
    said: RobotCheckedIn | None,
    of_detector: object,
    of_segmenter: object,
) -> None:
    known = knowing(target, said)
    for plan, expected in (
        (planned(request(), RECORD, known, START), of_detector),
        (planned(request("segmenter:2"), SEGMENTERS, known, START), of_segmenter),
    ):
        held = plan.robots[R1]
        assert (held.generation, held.previous, held.previous_digest) == expected
        names = tuple(each.name for each in said.pipelines) if said is not None else ()
        assert held.pipelines == (names or UNSET)


def test_a_robot_without_pipelines_is_planned_as_it_ever_was() -> None:
    held = planned(request(), RECORD, knowing(DETECTS, ALONE), START).robots[R1]
    assert b"pipelines" not in encode(held)


def test_a_robot_is_up_to_date_by_the_entry_of_the_model_and_no_other() -> None:
    known = knowing(told(SEGMENTS, DETECTS), WITH_A_SEGMENTER)
    for model, record in (("detector:1", RECORD), ("segmenter:1", SEGMENTERS)):
        again = request(model)
        with pytest.raises(PlanRefusedError, match=f"were already given {model}"):
            planned(again, record, known, START)
        preview = previewed(again, record, known, START)
        assert preview.left_out[0].reason == f"was already given {model}"


def given_by(rollout: Rollout, step: Step, last: RobotTarget | None) -> RobotTarget:
    (order,) = step.targets
    assert follows(rollout, order, last)
    return given(step.rollout, order, last, START)


@pytest.mark.parametrize(
    ("plan", "last"),
    [
        (detecting(), told(SEGMENTS, DETECTS)),
        (detecting(), told(DETECTS, SEGMENTS)),
        (segmenting(), told(DETECTS, SEGMENTS)),
        (segmenting(), told(SEGMENTS, DETECTS)),
    ],
)
def test_what_is_given_and_taken_back_carries_the_other_models_along(
    plan: Rollout, last: RobotTarget
) -> None:
    (other,) = (each for each in last.entries if each.model.name != plan.model.name)
    step = begun(plan, START)
    forward = given_by(plan, step, last)
    assert forward.beside == (other,)
    assert (forward.model, forward.digest) == (plan.model, plan.digest)
    assert forward.fallback == plan.robots[R1].previous
    back = scenes.told(step.rollout, scenes.failed(1, forward.generation, plan.rollout_id), 1)
    returned = given_by(step.rollout, back, forward)
    assert returned.beside == (other,)
    assert (returned.model, returned.digest) == (
        plan.robots[R1].previous,
        plan.robots[R1].previous_digest,
    )
    assert returned.generation == plan.robots[R1].generation + 2


def test_a_model_that_was_never_given_there_comes_beside_what_was() -> None:
    plan = planned(
        request("segmenter:2"), SEGMENTERS, knowing(DETECTS, says(standing(SEGMENTER))), START
    )
    target = given_by(plan, begun(plan, START), DETECTS)
    assert (target.generation, target.fallback, target.beside) == (1, None, (DETECTS,))


def test_entries_at_one_place_are_carried_once_and_none_at_the_new_ones() -> None:
    stale = replace(HEARS, model=replace(HEARS.model, name=ModelName("lidar")))
    plan = begun(segmenting(), START)
    target = given_by(segmenting(), plan, told(SEGMENTS, HEARS, DETECTS, stale))
    assert [each.model.name for each in target.beside] == [SPEECH], (
        "speech, detector and lidar have no pipelines there: the first has the place"
    )


def test_nobody_who_named_no_pipelines_is_told_of_anything_beside() -> None:
    plan = detecting(alone=True)
    assert given_by(plan, begun(plan, START), DETECTS).beside == ()
    assert given_by(plan, begun(plan, START), told(DETECTS, SEGMENTS)).beside == ()


def test_a_robot_is_taken_by_who_wrote_at_the_same_place_alone() -> None:
    step = begun(detecting(), START)
    (order,) = step.targets
    elsewhere = replace(SEGMENTS, generation=40, rollout_id=THERE)
    assert overtaken_by(step.rollout, order, told(elsewhere, DETECTS)) is None
    newer = replace(DETECTS, generation=5, rollout_id=THERE)
    assert overtaken_by(step.rollout, order, told(SEGMENTS, newer)) == THERE


def test_a_check_in_is_read_where_the_model_stands() -> None:
    proved = after(
        begun(segmenting(), START).rollout, (scenes.activated(1, 8, NEW_SIGHT, THERE), 1)
    )
    assert scenes.phase(proved, 1) is RobotPhase.PROVED
    unrelated = says(standing(SEGMENTER, 8, NEW_SIGHT), generation=8)
    assert after(proved, (unrelated, 2)) is proved, "its own pipeline serves what it likes"
    left = after(proved, (says(standing(SEGMENTER, 8, OLD_SIGHT), generation=8), 2))
    assert left.state is RolloutState.REVERTING
    assert "now serves" in left.reason
    back = after(left, (says(standing(SEGMENTER, 9, OLD_SIGHT)), 3))
    assert back.state is RolloutState.REVERTED
    silent_of_it = says(standing(SPEECH, 9, OLD_SIGHT), generation=9)
    assert after(left, (silent_of_it, 3)) is left


def test_a_pipeline_that_may_not_swap_holds_its_own_rollout_alone() -> None:
    waits = says(standing(SEGMENTER, 8, OLD_SIGHT, "docked is false"), generation=5)
    segmenter, detector = (
        after(begun(plan, START).rollout, (waits, 1)) for plan in (segmenting(), detecting())
    )
    assert segmenter.robots[R1].reason == "it waits to swap: docked is false"
    assert detector.robots[R1].reason == ""


def test_two_models_of_one_robot_have_two_owners_and_one_place_has_one() -> None:
    here, there = begun(detecting(), START).rollout, begun(segmenting(), START).rollout
    owned = owners([here, there])
    assert {held: of.rollout_id for held, of in owned.items()} == {
        (R1, None): HERE,
        (R1, SEGMENTER): THERE,
    }
    known = knowing(told(SEGMENTS, DETECTS), WITH_A_SEGMENTER, here)
    assert planned(request("segmenter:2"), SEGMENTERS, known, START).state is RolloutState.RUNNING
    known = knowing(told(SEGMENTS, DETECTS), WITH_A_SEGMENTER, there)
    with pytest.raises(PlanRefusedError, match="pipeline segmenter of r1 belongs to rollout there"):
        planned(request("segmenter:2"), SEGMENTERS, known, START)
    asked = request("segmenter:2")
    preview = previewed(asked, SEGMENTERS, known, START)
    assert preview.left_out[0].reason == (
        "its pipeline segmenter belongs to rollout there, which is running"
    )
    waiting = replace(asked, policy=replace(asked.policy, on_conflict=OnConflict.WAIT))
    queued = planned(waiting, SEGMENTERS, known, START)
    assert queued.reason == "waits for rollout there, which owns pipeline segmenter of r1"


def test_a_newer_rollout_takes_over_what_is_at_its_own_place() -> None:
    here, there = begun(detecting(), START).rollout, begun(segmenting(), START).rollout
    takes = replace(request().policy, on_conflict=OnConflict.SUPERSEDE)
    newer = replace(segmenting(), rollout_id=scenes.ELSEWHERE, policy=takes)
    assert set(to_supersede(newer, [here, there])) == {THERE}
    newer = replace(detecting(), rollout_id=scenes.ELSEWHERE, policy=takes)
    assert set(to_supersede(newer, [here, there])) == {HERE}


def test_what_another_model_was_given_since_is_no_news_to_this_one() -> None:
    ended = replace(begun(detecting(), START).rollout, state=RolloutState.SUCCEEDED)
    there = begun(segmenting(), START).rollout
    now = replace(DETECTS, generation=5)
    assert given_since(ended, [there], {R1: told(replace(SEGMENTS, generation=40), now)}) == {}
    newer = replace(DETECTS, generation=6)
    assert set(given_since(ended, [], {R1: told(SEGMENTS, newer)})) == {R1}
    assert overtaken(knowing(told(SEGMENTS, now), None), [there, ended]) == (R1,), "there gave 8"
    newest = told(replace(SEGMENTS, generation=8), now)
    assert overtaken(knowing(newest, None), [there, ended]) == ()


def test_who_is_left_out_is_told_by_what_it_was_given_of_that_model() -> None:
    other = scenes.robot(2)
    known = knowing(told(SEGMENTS, DETECTS), WITH_A_SEGMENTER)
    known = replace(known, robots=(*known.robots, replace(known.robots[0], robot_id=other)))
    asked = request("segmenter:1")
    rollout = planned(asked, SEGMENTERS, known, START)
    assert set(rollout.robots) == {other}
    assert excluded(rollout, asked, SEGMENTERS, known, START) == {
        R1: "it was given these bytes already, as segmenter:1 by rollout elsewhere"
    }


def test_comparisons_are_of_a_rollouts_own_model() -> None:
    here = begun(detecting(), START).rollout
    about_sight = scenes.summary(1, 1, NEW_SIGHT)
    assert after(here, (about_sight, 2)) is here
    assert after(here, (scenes.summary(1, 1, NEW), 2)).evidence.canary.inferences == 20


def test_people_are_told_which_model_goes_where_and_whose_the_others_are() -> None:
    here, there = begun(detecting(), START).rollout, begun(segmenting(), START).rollout
    assert where_given(there, there.robots[R1]) == (
        " and gives segmenter:2 to the robot's pipeline segmenter"
    )
    assert where_given(here, here.robots[R1]) == " and gives detector:2 to the robot's own pipeline"
    assert where_given(here, RobotProgress()) == ""
    assert also_of(R1, here, [here, there]) == " Its pipeline segmenter belongs to rollout there."
    assert also_of(R1, there, [here, there]) == " It belongs to rollout here."
