"""Whatever is asked for, and whatever ends: each robot has one owner, and only that one touches it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from fleetward.contracts.control import AbortMode, ControlAction, OnConflict
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.ownership import owners
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    Rollout,
    RolloutRequested,
    RolloutState,
    is_open,
)
from rollout_coordinator.advance import advance, begun
from rollout_coordinator.conflicts import placed, returns_to, to_supersede
from rollout_coordinator.errors import PlanRefusedError
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import OLD, OLD_MODEL, START, planned, robot, started
from tests.unit.rollout_coordinator.test_plan import request

MOVES = some.lists(
    some.tuples(
        some.sets(some.integers(1, 4), min_size=1),
        some.sampled_from(OnConflict),
        some.sampled_from((None, AbortMode.KEEP)),
    ),
    max_size=8,
)


def asked(number: int, policy: OnConflict) -> RolloutRequested:
    wanted = replace(request(), rollout_id=RolloutId(f"n-{number}"))
    return replace(wanted, policy=replace(wanted.policy, on_conflict=policy))


@settings(max_examples=200)
@given(MOVES)
def test_every_robot_has_one_owner_and_is_active_in_no_other_rollout(
    moves: list[tuple[set[int], OnConflict, AbortMode | None]],
) -> None:
    world: dict[RolloutId, Rollout] = {}
    for number, (wanted, policy, ends) in enumerate(moves):
        robots = [robot(each) for each in wanted]
        plan = replace(planned(len(robots)), rollout_id=RolloutId(f"n-{number}"))
        progress = plan.robots[robot(1)]
        plan = replace(plan, waves=(tuple(robots),), robots=dict.fromkeys(robots, progress))
        plan = replace(plan, started_at=scenes.at(number), policy=asked(number, policy).policy)
        try:
            plan = placed(plan, asked(number, policy), owners(world.values()), START)
        except PlanRefusedError:
            continue
        for other, fact in to_supersede(plan, list(world.values())).items():
            world[other] = advance(world[other], fact, START, START).rollout
        world[plan.rollout_id] = begun(plan, START).rollout
        _check_owners(world)
        if ends is not None:
            word = scenes.asked(ControlAction.ABORT, ends)
            world[plan.rollout_id] = advance(world[plan.rollout_id], word, START, START).rollout
            _check_owners(world)


def _check_owners(world: dict[RolloutId, Rollout]) -> None:
    active: dict[RobotId, list[RolloutId]] = {}
    for rollout in world.values():
        if rollout.state in FINAL_STATES or rollout.state is RolloutState.QUEUED:
            continue
        for name, progress in rollout.robots.items():
            if progress.phase is not RobotPhase.SUPERSEDED:
                active.setdefault(name, []).append(rollout.rollout_id)
    owned = owners(world.values())
    for name, rollouts in active.items():
        assert rollouts == [owned[name, None].rollout_id]


def test_robot_returns_to_what_it_proved_and_not_to_what_it_was_only_given() -> None:
    target = RobotTarget(
        robot_id=robot(1),
        generation=5,
        rollout_id=scenes.HERE,
        model=scenes.NEW_MODEL,
        digest=scenes.NEW,
        issued_at=START,
    )
    given_only = started(1)
    proved = scenes.after(given_only, (scenes.activated(1), 1))
    halted = scenes.after(proved, (scenes.fell_back(1), 2))
    assert returns_to(target, given_only).previous_digest == OLD
    assert returns_to(target, halted).previous == OLD_MODEL
    assert returns_to(target, proved).previous_digest == scenes.NEW
    assert returns_to(target, None).previous_digest == scenes.NEW


def test_watched_success_gives_its_robots_up_to_whoever_asks() -> None:
    watched = replace(
        started(1), state=RolloutState.SUCCEEDED, watched_until=scenes.at(60), ended_at=START
    )
    newer = replace(planned(1), rollout_id=scenes.ELSEWHERE)
    told = to_supersede(newer, [watched])
    left = advance(watched, told[watched.rollout_id], START, START).rollout
    assert owners([watched]) == {}
    assert (left.state, is_open(left)) == (RolloutState.SUCCEEDED, False)
