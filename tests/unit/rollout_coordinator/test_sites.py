"""What a site's policy means for one decision: who may leave service, when, and why not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import RobotId, RolloutId, SiteName
from fleetward.contracts.robots import CHECK_IN_S
from fleetward.contracts.rollouts import FINAL_STATES, RobotPhase, Rollout, RolloutState, Strategy
from fleetward.contracts.sites import SiteOccupancy, SitePolicy
from fleetward.contracts.surroundings import SiteRoom, Surroundings
from fleetward.contracts.windows import parse_window
from rollout_coordinator.advance import advance, begun
from rollout_coordinator.capacity import (
    LastSign,
    SiteRobots,
    occupied,
    occupied_anew,
    room_at,
)
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.floors import away_at
from rollout_coordinator.site_plan import check_sites
from rollout_coordinator.step import Tick
from rollout_coordinator.windows import closed_reason
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, HERE, START, robot

BERLIN = SiteName("berlin")
NIGHTS = SitePolicy(site=BERLIN, windows=(parse_window("mon-fri 02:00+3h Europe/Berlin"),))
LEASE_S = 5.0
PATIENCE = timedelta(seconds=CHECK_IN_S + LEASE_S)


def at_berlin(rollout: Rollout) -> Rollout:
    """The same rollout, with all its robots there."""
    robots = {name: replace(held, site=BERLIN) for name, held in rollout.robots.items()}
    return replace(rollout, robots=robots)


def planned(*wave_sizes: int, strategy: Strategy = Strategy.ALL_AT_ONCE) -> Rollout:
    return at_berlin(scenes.planned(*wave_sizes, strategy=strategy))


def room(floor: int | None, serving: int, robots: int | None = None, **fields: object) -> SiteRoom:
    return SiteRoom(
        floor=floor,
        robots=robots or serving,
        in_service=frozenset(robot(number) for number in range(1, serving + 1)),
        **fields,  # type: ignore[arg-type]  # as the test says
    )


def around(site: SiteRoom) -> Surroundings:
    return Surroundings(sites={BERLIN: site})


def given(rollout: Rollout, phase: RobotPhase = RobotPhase.TARGETED) -> int:
    return sum(held.phase is phase for held in rollout.robots.values())


@pytest.mark.parametrize(
    ("strategy", "leave"),
    [
        (Strategy.ALL_AT_ONCE, 2),
        (Strategy.CANARY, 2),
        (Strategy.ROLLING, 1),
        (Strategy.BLUE_GREEN, 5),  # they stage: what serves, serves on
        (Strategy.SHADOW, 5),
    ],
)
def test_no_more_leave_service_than_the_floor_allows(strategy: Strategy, leave: int) -> None:
    rollout = begun(planned(5, strategy=strategy), START, around(room(3, 5))).rollout
    assert given(rollout) == leave


def test_what_is_withheld_names_the_site_the_floor_and_who_serves() -> None:
    rollout = begun(planned(5), START, around(room(3, 3, robots=5))).rollout
    assert rollout.withheld == "site berlin must keep 3 of its 5 robots in service, and has 3"
    assert rollout.withheld_since == START


def test_a_robot_that_proved_makes_room_in_the_same_decision() -> None:
    rollout = begun(planned(5, strategy=Strategy.CANARY), START, around(room(4, 5))).rollout
    first = next(name for name, held in rollout.robots.items() if held.phase is RobotPhase.TARGETED)
    step = advance(rollout, scenes.activated(int(first[1:])), START, START, around(room(4, 5)))
    assert len(step.targets) == 1
    assert given(step.rollout) == 1


def test_robots_that_serve_nothing_take_no_place() -> None:
    fresh = frozenset({robot(1)})
    rollout = at_berlin(scenes.planned(3, fresh=fresh, strategy=Strategy.ALL_AT_ONCE))
    empty = room(3, 0, robots=3, idle=frozenset({robot(2)}))
    step = begun(rollout, START, around(empty))
    assert {order.robot_id for order in step.targets} == {robot(1), robot(2)}


def test_a_silent_robot_takes_a_place_as_it_may_be_back_the_next_moment() -> None:
    step = begun(planned(5), START, around(room(3, 4, robots=5)))
    assert len(step.targets) == 1


def test_going_back_takes_places_too_and_goes_on_as_they_are_free() -> None:
    rollout = begun(planned(3), START).rollout
    for number in (1, 2, 3):
        rollout = scenes.told(rollout, scenes.activated(number), 1).rollout
    bound = around(room(2, 3))
    step = advance(rollout, scenes.asked(ControlAction.ABORT), START, START, bound)
    assert (step.rollout.state, len(step.targets)) == (RolloutState.REVERTING, 1)
    assert "must keep 2 of its 3" in step.rollout.withheld
    (first,) = step.targets
    back = scenes.activated(int(first.robot_id[1:]), first.generation, scenes.OLD)
    following = advance(step.rollout, back, START, START, bound)
    assert len(following.targets) == 1


def test_who_is_on_its_way_goes_back_without_a_further_place() -> None:
    rollout = begun(planned(3), START, around(room(0, 3))).rollout
    step = advance(rollout, scenes.asked(ControlAction.ABORT), START, START, around(room(3, 3)))
    assert given(step.rollout, RobotPhase.REVERTING) == 3


def test_nobody_is_given_a_model_while_the_window_is_closed_and_no_clock_runs() -> None:
    opens_at = scenes.at(40_000)
    closed = around(room(None, 5, closed="the window opens later", opens_at=opens_at))
    rollout = begun(planned(5), START, closed).rollout
    for seconds in range(0, 40_000, 1_000):
        rollout = advance(rollout, Tick(), scenes.at(seconds), scenes.at(seconds), closed).rollout
    assert (rollout.state, given(rollout)) == (RolloutState.RUNNING, 0)
    assert (rollout.withheld, rollout.withheld_since) == ("the window opens later", None)
    step = advance(rollout, Tick(), opens_at, opens_at, around(room(None, 5)))
    assert (len(step.targets), step.rollout.withheld) == (5, "")


def test_a_floor_that_holds_everybody_for_too_long_makes_it_pause_and_ask() -> None:
    bound = around(room(5, 5, robots=6))
    rollout = begun(planned(5), START, bound).rollout
    late = scenes.at(rollout.policy.stalled_after_s)
    paused = advance(rollout, Tick(), late, late, bound).rollout
    assert paused.state is RolloutState.PAUSED
    assert "site berlin must keep 5 of its 6" in paused.reason


def test_going_back_waits_for_no_window() -> None:
    rollout = begun(planned(3), START).rollout
    closed = around(room(None, 3, closed="closed", opens_at=scenes.at(9e4)))
    step = advance(rollout, scenes.asked(ControlAction.ABORT), START, START, closed)
    assert given(step.rollout, RobotPhase.REVERTING) == 3


def test_a_floor_is_told_before_a_window_that_opens_by_itself() -> None:
    both = replace(
        planned(2),
        robots={
            robot(1): replace(planned(2).robots[robot(1)], site="paris"),
            robot(2): planned(2).robots[robot(2)],
        },
    )
    bound = Surroundings(
        sites={
            "paris": SiteRoom(closed="paris opens later", opens_at=scenes.at(60)),
            BERLIN: room(2, 2),
        }
    )
    assert begun(both, START, bound).rollout.withheld.startswith("site berlin must keep")


def heard(seconds_ago: float, *, serves: bool = True) -> LastSign:
    return LastSign(START - timedelta(seconds=seconds_ago), serves)


def seen(**heard_by: LastSign) -> SiteRobots:
    return SiteRobots(
        {robot(number): LEASE_S for number in range(1, 6)},
        {RobotId(name): said for name, said in heard_by.items()},
    )


FLOOR = SitePolicy(site=BERLIN, floor=2)
ALL_WELL = seen(r1=heard(0), r2=heard(1), r3=heard(2), r4=heard(3), r5=heard(4))


def test_who_is_silent_serves_nothing_or_is_away_elsewhere_is_not_in_service() -> None:
    silent_s = PATIENCE.total_seconds() + 1
    robots = seen(r1=heard(0), r2=heard(silent_s), r3=heard(1, serves=False), r4=heard(1))
    away = {ELSEWHERE: (robot(4),), HERE: (robot(1),)}
    site = room_at(FLOOR, robots, away, HERE, START)
    assert (site.floor, site.robots) == (2, 5)
    assert site.in_service == {robot(1)}  # its own rollout knows better whether it is away
    assert site.idle == {robot(3)}


def test_a_clock_behind_the_servers_prolongs_no_lease() -> None:
    slow = START - timedelta(hours=1)
    silent_s = PATIENCE.total_seconds() + 1
    site = room_at(FLOOR, seen(r1=heard(0), r2=heard(silent_s)), {}, HERE, slow)
    assert site.in_service == {robot(1)}


def test_nobody_counts_as_idle_by_what_was_said_before_the_newest_decision() -> None:
    robots = replace(seen(r1=heard(0, serves=False)), is_current=False)
    assert room_at(FLOOR, robots, {}, HERE, START).idle == frozenset()


def test_a_closed_window_says_in_the_sites_own_time_when_it_opens() -> None:
    monday = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
    reason = "the window of site berlin opens at Tue 2026-01-06 02:00 Europe/Berlin"
    assert closed_reason(NIGHTS, monday) == reason
    site = room_at(NIGHTS, SiteRobots(), {}, HERE, monday)
    assert (site.closed, site.opens_at) == (reason, datetime(2026, 1, 6, 1, tzinfo=timezone.utc))
    assert closed_reason(NIGHTS, datetime(2026, 1, 6, 1, tzinfo=timezone.utc)) == ""
    assert closed_reason(FLOOR, monday) == ""


def test_the_row_of_who_is_away_follows_the_rollout_to_its_end() -> None:
    row = SiteOccupancy(site=BERLIN)
    rollout = begun(planned(2), START).rollout
    taken = occupied(row, rollout)
    assert taken.away == {HERE: (robot(1), robot(2))}
    assert occupied(taken, rollout) is taken
    rollout = scenes.told(rollout, scenes.activated(1), 1).rollout
    assert occupied(taken, rollout).away == {HERE: (robot(2),)}
    kept = scenes.told(rollout, scenes.asked(ControlAction.ABORT, AbortMode.KEEP), 2).rollout
    assert kept.state in FINAL_STATES
    assert occupied(taken, kept).away == {}


def test_a_row_made_anew_holds_every_open_rollout_and_nobody_elses_robots() -> None:
    here = begun(planned(2), START).rollout
    other = replace(begun(planned(1), START).rollout, rollout_id=RolloutId("other"))
    warm = replace(begun(planned(1, strategy=Strategy.SHADOW), START).rollout, rollout_id=ELSEWHERE)
    row = occupied_anew(BERLIN, 7, [here, other, warm])
    assert row.policy_sequence == 7
    assert row.away == {HERE: (robot(1), robot(2)), RolloutId("other"): (robot(1),)}
    assert away_at(here, "paris") == ()


def test_a_floor_that_lets_nobody_go_is_refused_with_what_to_do() -> None:
    with pytest.raises(PlanRefusedError, match=r"must keep 5 of its 5 .*--floor 4") as refused:
        check_sites(planned(2), around(room(5, 5)))
    assert "blue-green" in str(refused.value)


@pytest.mark.parametrize(
    "rollout",
    [
        planned(2, strategy=Strategy.BLUE_GREEN),
        planned(2, strategy=Strategy.SHADOW),
        at_berlin(scenes.planned(1, fresh=frozenset({robot(1)}))),
    ],
)
def test_a_floor_over_all_robots_refuses_nobody_who_takes_no_place(rollout: Rollout) -> None:
    check_sites(rollout, around(room(5, 5)))


def test_a_floor_that_may_be_met_later_is_no_refusal() -> None:
    check_sites(planned(2), around(room(4, 3, robots=5)))


def test_a_window_that_never_opens_is_refused_before_the_rollout_begins() -> None:
    with pytest.raises(PlanRefusedError, match="cannot be held"):
        check_sites(planned(2), around(SiteRoom(closed="the policy cannot be held: no days")))
