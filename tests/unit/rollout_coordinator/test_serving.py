"""What a robot serves when its newest target says to shadow or to stage: what it served before."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import RobotTarget, TargetMode
from fleetward.contracts.rollouts import Rollout, RolloutRequested, Strategy
from rollout_coordinator.conflicts import returns_to
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.excluded import excluded
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.joining import matched
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import previewed
from rollout_coordinator.serving import Served, served
from rollout_coordinator.step import Tick
from rollout_coordinator.target_of import target_of
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    NEW_MODEL,
    OLD,
    OLD_MODEL,
    START,
    after,
    robot,
)
from tests.unit.rollout_coordinator.test_plan import RECORD, fleet, request, target
from tests.unit.rollout_coordinator.test_preview import group, heard

R1 = robot(1)


def ordered(strategy: Strategy) -> tuple[Rollout, RobotTarget]:
    """A rollout that has just told its robot to shadow or to stage, and the target that says so."""
    step = scenes.told(scenes.planned(1, strategy=strategy), Tick(), 1)
    return step.rollout, target_of(step.rollout, step.targets[0], START)


def knowing(told: RobotTarget, *opened: Rollout) -> Fleet:
    return replace(fleet(1, {R1: told}, opened), heard={R1: heard(R1, *TargetMode)})


def shadowing() -> RolloutRequested:
    return replace(request(), strategy=Strategy.SHADOW)


@pytest.mark.parametrize("strategy", [Strategy.SHADOW, Strategy.BLUE_GREEN])
def test_robot_returns_to_what_it_serves_and_not_to_what_it_shadowed_or_staged(
    strategy: Strategy,
) -> None:
    owner, told = ordered(strategy)
    proved = after(owner, (scenes.shadowed(1), 2), (scenes.staged(1), 2))
    kept = after(proved, (scenes.asked(ControlAction.ABORT, AbortMode.KEEP), 3))
    for holder in (owner, proved, kept, None):
        assert returns_to(told, holder).previous == OLD_MODEL
        assert returns_to(told, holder).previous_digest == OLD


def test_who_serves_nothing_beside_what_it_staged_returns_to_nothing() -> None:
    bare = replace(target("r1", NEW), mode=TargetMode.STAGE)
    assert served(bare) is None
    assert served(None) is None
    assert returns_to(bare, None).previous_digest is None
    assert served(target("r1")) == Served(OLD_MODEL, OLD)


def test_robot_that_shadowed_a_model_is_not_up_to_date_with_it() -> None:
    _, told = ordered(Strategy.SHADOW)
    known = knowing(told)
    assert set(planned(request(), RECORD, known, START).robots) == {R1}
    canary = replace(scenes.started(1), rollout_id=scenes.ELSEWHERE)
    assert set(matched(canary, (R1,), known).robots) == {R1}
    assert previewed(request(), RECORD, known, START).left_out == ()


def test_robot_that_serves_the_model_and_shadowed_another_is_left_out_by_what_it_serves() -> None:
    _, told = ordered(Strategy.SHADOW)
    again = request("detector:1")
    with pytest.raises(PlanRefusedError, match="were already given detector:1"):
        planned(again, RECORD, knowing(told), START)
    preview = previewed(again, RECORD, knowing(told), START)
    assert preview.left_out == (group("was already given detector:1", "r1"),)
    two = fleet(2, {R1: told})
    rollout = planned(again, RECORD, two, START)
    assert excluded(rollout, again, RECORD, two, START) == {
        R1: "it was given these bytes already, as detector:1"
    }


def given(digest: Digest) -> RobotTarget:
    return replace(target("r1", digest), model=NEW_MODEL if digest == NEW else OLD_MODEL)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (replace(knowing(given(OLD)), withdrawn={OLD: "sees ghosts"}), shadowing()),
        (knowing(given(NEW)), replace(shadowing(), again=True)),
        (replace(knowing(given(OLD)), targets={}), shadowing()),
    ],
    ids=["withdrawn", "these bytes", "nothing"],
)
def test_nobody_shadows_who_has_nothing_to_go_back_to(
    known: Fleet, wanted: RolloutRequested
) -> None:
    with pytest.raises(PlanRefusedError, match=r"r1 serves nothing .* could go back to"):
        planned(wanted, RECORD, known, START)


def test_a_preview_names_who_could_not_go_back_from_a_shadow() -> None:
    known = replace(knowing(given(OLD)), withdrawn={OLD: "sees ghosts"})
    preview = previewed(shadowing(), RECORD, known, START)
    assert preview.left_out == (
        group("would have nothing to go back to when the shadow ends", "r1"),
    )
