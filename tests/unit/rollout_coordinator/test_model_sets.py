"""Models that switch together: given in one target, proved by all and taken back with all."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.control import OnConflict
from fleetward.contracts.ids import ModelName
from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD, split, whole_of
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState, Strategy
from rollout_coordinator.advance import Fact, begun
from rollout_coordinator.conflicts import returns_to, to_supersede
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.giving import follows, given, overtaken_by
from rollout_coordinator.replay import Replayed, replayed
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.pipeline_scenes import (
    DETECTS,
    HEARS,
    NEW_SIGHT,
    OLD_SIGHT,
    R1,
    SEES,
    SEES_BETTER,
    SEGMENTER,
    SEGMENTS,
    detecting,
    told,
)
from tests.unit.rollout_coordinator.scenes import (
    HERE,
    NEW,
    NEW_MODEL,
    OLD,
    OLD_MODEL,
    START,
    after,
)
from tests.unit.rollout_coordinator.set_scenes import (
    BOTH,
    arrived,
    detects,
    held,
    left_sight,
    no_sight,
    phase,
    planned_set,
    sees,
    serves,
    staged,
    started_set,
)
from tests.unit.rollout_coordinator.test_plan import request
from tests.unit.rollout_coordinator.test_replay import Coordinator

# --- what robots are given


def test_one_target_holds_the_whole_set_beside_what_else_the_robot_serves() -> None:
    step = begun(planned_set(), START)
    (order,) = step.targets
    speech = replace(HEARS, model=replace(HEARS.model, name=ModelName("speech")))
    progress = replace(held(step.rollout), pipelines=(SEGMENTER, speech.model.name))
    rollout = replace(step.rollout, robots={R1: progress})
    last = told(replace(SEGMENTS, generation=4), DETECTS, speech)
    assert follows(rollout, order, last)
    target = given(rollout, order, last, START)
    assert target.beside[1:] == (speech,)
    for each, model, before in zip(
        target.entries, (NEW_MODEL, SEES_BETTER), (OLD_MODEL, SEES), strict=False
    ):
        assert (each.model, each.fallback) == (model, before)
        assert (each.together, each.rollout_id, each.generation) == (BOTH, HERE, 5)
    newer = told(replace(SEGMENTS, generation=5, rollout_id=scenes.ELSEWHERE), DETECTS)
    assert overtaken_by(rollout, order, newer) == scenes.ELSEWHERE


def test_a_set_goes_back_in_one_target_and_what_had_none_before_stays() -> None:
    failed = scenes.told(started_set(), no_sight(), 1)
    (order,) = failed.targets
    back = given(failed.rollout, order, told(DETECTS, SEGMENTS), START)
    assert [(each.model, each.generation, each.together) for each in back.entries] == [
        (OLD_MODEL, 6, BOTH),
        (SEES, 6, BOTH),
    ]
    first = started_set(sight_before=False)
    failed = scenes.told(first, no_sight(1), 1)
    (order,) = failed.targets
    given_first = replace(SEGMENTS, generation=1, together=BOTH)
    back = given(failed.rollout, order, told(DETECTS, given_first), START)
    assert [(each.model, each.generation, each.together) for each in back.entries] == [
        (OLD_MODEL, 6, ()),
        (SEES, 1, BOTH),
    ]
    assert after(failed.rollout, (detects(6, OLD), 2)).state is RolloutState.REVERTED


# --- what robots say


def test_a_set_is_proved_when_each_of_its_models_is() -> None:
    one = after(started_set(), (detects(), 1))
    assert (phase(one), arrived(one)) == (RobotPhase.TARGETED, ("detector",))
    assert after(one, (detects(), 2)) is one, "a copy"
    both = after(one, (sees(), 3))
    assert phase(both) is RobotPhase.PROVED
    assert phase(after(started_set(), (sees(), 1), (detects(), 2))) is RobotPhase.PROVED


@pytest.mark.parametrize("first", [None, detects(), sees()])
def test_one_model_that_fails_fails_the_robot_and_takes_all_back(first: object) -> None:
    begun_set = started_set() if first is None else after(started_set(), (first, 1))  # type: ignore[arg-type]  # a proof
    halted = after(begun_set, (no_sight(), 2))
    assert halted.state is RolloutState.REVERTING
    assert "segmenter:2: load: no such operator" in halted.reason


def test_a_member_that_is_left_or_alarms_takes_all_back() -> None:
    proved = after(started_set(), (detects(), 1), (sees(), 1))
    for news in (
        left_sight(),
        scenes.alert(1, digest=NEW_SIGHT),
        scenes.alert(1, digest=NEW),
        serves(NEW, OLD_SIGHT),
        serves(OLD, NEW_SIGHT),
    ):
        assert after(proved, (news, 2)).state is RolloutState.REVERTING, news
    for other in (serves(NEW, NEW_SIGHT), scenes.alert(1, digest=OLD_SIGHT)):
        assert after(proved, (other, 2)).state is RolloutState.RUNNING, other


def test_a_return_is_over_when_each_model_is_back() -> None:
    halted = after(started_set(), (no_sight(), 1))
    one = after(halted, (detects(6, OLD), 2))
    assert (one.state, arrived(one)) == (RolloutState.REVERTING, ("detector",))
    assert after(one, (serves(OLD, NEW_SIGHT, 6), 3)).state is RolloutState.REVERTING
    assert after(one, (serves(OLD, OLD_SIGHT, 6), 3)).state is RolloutState.REVERTED
    assert after(halted, (serves(OLD, OLD_SIGHT, 6), 3)).state is RolloutState.REVERTED


def test_a_set_is_held_back_only_when_each_of_its_models_is() -> None:
    waits = "it switches together with segmenter, which is not warm yet, or may not switch"
    still_fetching = after(started_set(), (serves(OLD, OLD_SIGHT, 5, (waits, "")), 1))
    assert held(still_fetching).reason == ""
    docking = serves(OLD, OLD_SIGHT, 5, (waits, "docked is false"))
    waiting = after(started_set(), (docking, 1))
    assert (
        held(waiting).reason == f"it waits to swap: detector: {waits}; segmenter: docked is false"
    )
    assert after(waiting, (docking, 2)) is waiting
    assert held(after(waiting, (serves(OLD, OLD_SIGHT), 3))).reason == ""


def test_a_set_that_fell_silent_is_believed_again_when_each_model_serves() -> None:
    proved = after(started_set(), (detects(), 1), (sees(), 1))
    silent = after(proved, (scenes.silent(1), 2))
    assert (phase(silent), arrived(silent)) == (RobotPhase.TARGETED, ())
    assert after(silent, (serves(NEW, OLD_SIGHT), 3)).state is RolloutState.REVERTING
    assert phase(after(silent, (serves(NEW, NEW_SIGHT), 3))) is RobotPhase.PROVED


def test_a_blue_green_set_is_staged_and_switched_as_one() -> None:
    begun_set = started_set(Strategy.BLUE_GREEN)
    one = after(begun_set, (staged(NEW_MODEL, NEW), 1))
    assert (phase(one), arrived(one)) == (RobotPhase.TARGETED, ("detector",))
    switching = scenes.told(one, staged(SEES_BETTER, NEW_SIGHT), 2)
    (order,) = switching.targets
    assert [each.generation for each in order.every] == [6, 6]
    assert len({each.switch_at for each in order.every} - {None}) == 1
    assert arrived(switching.rollout) == ()
    done = after(switching.rollout, (detects(6), 3), (sees(6), 3))
    assert phase(done) is RobotPhase.PROVED


def test_a_set_that_is_not_heard_of_whole_is_unknown_and_counted_again_when_it_is() -> None:
    lax = replace(started_set(), policy=replace(scenes.POLICY, min_success_percent=0.0))
    half = after(lax, (detects(), 1), (Tick(), 61))
    assert phase(half) is RobotPhase.UNKNOWN
    assert phase(after(half, (sees(), 62))) is RobotPhase.PROVED


# --- whose it is


def test_no_model_is_torn_out_of_a_set_that_is_not_through() -> None:
    running = replace(started_set(), rollout_id=scenes.ELSEWHERE)
    takes = replace(request().policy, on_conflict=OnConflict.SUPERSEDE)
    part = replace(detecting(), policy=takes)
    with pytest.raises(
        PlanRefusedError, match="of detector:2 and segmenter:2, which switch together"
    ):
        to_supersede(part, [running])
    whole = replace(planned_set(), policy=takes)
    assert set(to_supersede(whole, [running])) == {scenes.ELSEWHERE}
    watched = replace(running, state=RolloutState.SUCCEEDED, watched_until=scenes.at(60))
    assert set(to_supersede(part, [watched])) == {scenes.ELSEWHERE}


def test_a_member_returns_to_what_the_set_that_owns_it_had_before() -> None:
    given_last = replace(
        SEGMENTS, model=SEES_BETTER, digest=NEW_SIGHT, generation=5, rollout_id=HERE
    )
    assert returns_to(given_last, started_set()).previous == SEES
    proved = after(started_set(), (detects(), 1), (sees(), 1))
    assert returns_to(given_last, proved).previous == SEES_BETTER


def test_a_large_set_lies_in_shards_and_is_read_back_whole() -> None:
    one = held(planned_set())
    names = [scenes.robot(number) for number in range(1, ROBOTS_PER_SHARD + 2)]
    large = replace(planned_set(), waves=(tuple(names),), robots=dict.fromkeys(names, one))
    stored = split(large, None)
    assert len(stored.shards) == 4
    rows = [decode(encode(each), type(each)) for each in stored.shards]
    whole = whole_of(decode(encode(stored.row), Rollout), rows)
    assert (whole.robots, whole.together) == (large.robots, large.together)


def test_a_sets_decisions_are_made_again_byte_for_byte() -> None:
    coordinator = Coordinator(planned_set())
    facts: tuple[Fact, ...] = (
        detects(),
        serves(NEW, NEW_SIGHT),
        sees(),
        scenes.summary(1, 3),
        left_sight(),
        detects(6, OLD),
        sees(6, OLD_SIGHT),
    )
    for second, fact in enumerate(facts, 1):
        coordinator.tell([(fact, scenes.at(second))], second)
    assert coordinator.rollout.state is RolloutState.REVERTED
    again = list(replayed(coordinator.log))
    assert [type(each) for each in again] == [Replayed] * len(coordinator.log), again[-1]
