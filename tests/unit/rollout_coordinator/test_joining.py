"""Who joins a continuous rollout, when, how many at a time, and what that does to its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from fleetward.contracts.control import ControlAction
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.policies import is_steady
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rollout_events import RobotsJoined, WaveCompleted
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutState,
    Strategy,
)
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.fleet import Fleet, Heard
from rollout_coordinator.joining import RobotsMatched, candidates, matched
from rollout_coordinator.plan import planned
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator.gate_words import approval
from tests.unit.rollout_coordinator.scenes import (
    ELSEWHERE,
    HERE,
    NEW,
    OLD,
    OLD_MODEL,
    POLICY,
    START,
    activated,
    after,
    asked,
    at,
    failed,
    phase,
    robot,
    silent,
    started,
    summary,
    told,
)
from tests.unit.rollout_coordinator.test_plan import RECORD, fleet, request, target

BEFORE = RobotProgress(generation=4, previous=OLD_MODEL, previous_digest=OLD)
PER_MINUTE = replace(POLICY, joiners_per_minute=6)


def continuous(*wave_sizes: int) -> Rollout:
    return replace(started(*wave_sizes, policy=PER_MINUTE), is_continuous=True, selector="all")


def matches(*numbers: int) -> RobotsMatched:
    return RobotsMatched({robot(number): BEFORE for number in numbers})


def steady() -> Rollout:
    """One robot in one wave, which proved the model at 1 s and did well until 20 s."""
    return after(
        continuous(1),
        (activated(1), 1),
        (summary(1, 2), 3),
        (Tick(), 4),
        (Tick(), 20),
    )


def test_a_continuous_rollout_does_not_end_but_tells_once_that_its_wave_did_well() -> None:
    baking = after(continuous(1), (activated(1), 1), (summary(1, 2), 3), (Tick(), 4))
    done = told(baking, Tick(), 20)
    assert [type(event) for event in done.events] == [WaveCompleted]
    assert done.rollout.state is RolloutState.RUNNING
    assert is_steady(done.rollout)
    assert told(done.rollout, Tick(), 1000).rollout is done.rollout


def test_a_joiner_is_given_the_model_proves_it_and_the_wave_bakes_anew() -> None:
    step = told(steady(), matches(2), 60)
    (event,) = step.events
    assert isinstance(event, RobotsJoined)
    assert event.robots == (robot(2),)
    assert step.targets == ()
    assert (phase(step.rollout, 2), is_steady(step.rollout)) == (RobotPhase.WAITING, False)

    given_step = told(step.rollout, Tick(), 61)
    assert [order.robot_id for order in given_step.targets] == [robot(2)]
    proved = after(given_step.rollout, (activated(2), 62), (Tick(), 63))
    assert not is_steady(proved)
    assert is_steady(after(proved, (Tick(), 80)))


def test_a_joiner_counts_in_the_thresholds() -> None:
    given_model = after(steady(), (matches(2), 60), (Tick(), 61), (failed(2), 62))
    assert given_model.state is RolloutState.REVERTING


def test_a_joiner_of_an_earlier_wave_waits_for_the_last_one() -> None:
    grown = after(continuous(1, 1), (matches(3), 60), (Tick(), 61))
    assert grown.waves == ((robot(1),), (robot(2), robot(3)))
    assert phase(grown, 3) is RobotPhase.WAITING


@pytest.mark.parametrize(
    "rollout",
    [
        replace(continuous(1), is_continuous=False),
        replace(continuous(1), state=RolloutState.PAUSED),
        replace(continuous(1), state=RolloutState.REVERTING),
        replace(continuous(1), state=RolloutState.SUCCEEDED),
        replace(continuous(1), checkpoint="start"),
    ],
    ids=["snapshot", "paused", "reverting", "ended", "at a gate"],
)
def test_nobody_joins_a_rollout_that_takes_no_joiners(rollout: Rollout) -> None:
    assert told(rollout, matches(7), 600).rollout is rollout


@given(some.lists(some.integers(1, 120), min_size=1, max_size=20), some.integers(1, 60))
def test_no_more_join_than_the_rate_lets_in(pauses_s: list[int], rate: int) -> None:
    rollout = replace(continuous(1), policy=replace(POLICY, joiners_per_minute=rate))
    seconds, most = 0, rate
    for pause_s in pauses_s:
        seconds += pause_s
        before = len(rollout.robots)
        rollout = told(rollout, matches(*range(2, 2000)), seconds).rollout
        assert len(rollout.robots) - before <= most
        assert len(rollout.robots) - 1 <= seconds * rate / 60
    names = [name for wave in rollout.waves for name in wave]
    assert names == list(rollout.robots)


def test_who_joins_voids_what_was_approved_before_it_came() -> None:
    safety = Gate(name="safety", kind=GateKind.APPROVAL, before=Checkpoint.WAVE)
    policy = replace(PER_MINUTE, gates=(safety,))
    began = replace(started(1, 1, 1, policy=policy), is_continuous=True, selector="all")
    at_wave_2 = after(began, (activated(1), 1), (summary(1, 2), 3), (Tick(), 4), (Tick(), 20))
    assert at_wave_2.checkpoint == "wave 2"
    in_wave_2 = told(at_wave_2, approval(at_wave_2), 21).rollout
    grown = told(in_wave_2, matches(4), 40).rollout
    assert grown.waves == ((robot(1),), (robot(2),), (robot(3), robot(4)))

    on_time = after(grown, (activated(2), 41), (summary(2, 42), 43), (Tick(), 44), (Tick(), 60))
    assert on_time.checkpoint == "wave 3"
    assert on_time.plan != at_wave_2.plan
    as_before = approval(on_time, plan=at_wave_2.plan)
    assert told(on_time, as_before, 61).rollout is on_time
    assert told(on_time, approval(on_time), 62).rollout.wave == 2


def test_the_same_robots_join_first_whatever_the_order_they_are_told_in() -> None:
    forth, back = matches(2, 3, 4, 5), matches(5, 4, 3, 2)
    assert told(steady(), forth, 40).rollout.waves == told(steady(), back, 40).rollout.waves


def test_finishing_ends_a_steady_rollout_and_lets_a_busy_one_go_on_to_its_end() -> None:
    finishing = told(steady(), asked(ControlAction.FINISH), 30).rollout
    ended = told(finishing, Tick(), 31)
    assert ended.rollout.state is RolloutState.SUCCEEDED
    assert not [event for event in ended.events if isinstance(event, WaveCompleted)]

    busy = after(steady(), (matches(2), 60), (asked(ControlAction.FINISH), 61))
    assert (busy.state, busy.is_continuous) == (RolloutState.RUNNING, False)
    assert told(busy, matches(3), 600).rollout is busy
    through = after(busy, (Tick(), 62), (activated(2), 63), (Tick(), 64), (Tick(), 80))
    assert through.state is RolloutState.SUCCEEDED


def test_a_robot_that_was_through_may_be_switched_off_and_one_that_just_proved_may_not() -> None:
    rollout = steady()
    assert told(rollout, silent(1), 100).rollout is rollout
    joined = after(rollout, (matches(2), 60), (Tick(), 61), (activated(2), 62), (silent(2), 63))
    assert phase(joined, 2) is RobotPhase.TARGETED


def heard(known: Fleet, silent_s: float = 0.0) -> Fleet:
    said = {
        each.robot_id: Heard(
            RobotCheckedIn(
                robot_id=each.robot_id, boot_id=BootId("b"), sequence=1, checked_in_at=START
            ),
            START - timedelta(seconds=silent_s),
        )
        for each in known.robots
    }
    return replace(known, heard=said)


def test_who_is_heard_free_and_behind_may_join() -> None:
    mine, other = continuous(1), replace(started(1), rollout_id=ELSEWHERE)
    other = replace(other, robots={robot(2): BEFORE}, waves=((robot(2),),))
    targets = {robot(3): target("r3"), robot(4): target("r4", NEW)}
    known = heard(fleet(5, targets, (mine, other)))

    names = candidates(mine, known, START)
    assert names == (robot(3), robot(4), robot(5))
    assert set(matched(mine, names, known).robots) == {robot(3), robot(5)}
    assert matched(mine, names, known).robots[robot(3)].previous_digest == OLD
    assert candidates(mine, heard(known, silent_s=60), START) == ()
    assert candidates(mine, fleet(5), START) == ()


def test_a_selector_over_live_facts_is_asked_anew() -> None:
    known = heard(fleet(2))
    labelled = RobotEnrolled(robot_id=RobotId("r2"), labels={"hw": "thor"}, enrolled_at=START)
    thor = replace(known, robots=(known.robots[0], labelled))
    mine = replace(continuous(1), robots={}, selector="hw=thor")
    assert candidates(mine, known, START) == ()
    assert candidates(mine, thor, START) == (RobotId("r2"),)


@pytest.mark.parametrize("strategy", [Strategy.BLUE_GREEN, Strategy.SHADOW, Strategy.A_B])
def test_what_robots_do_together_takes_no_joiners(strategy: Strategy) -> None:
    wanted = replace(request(), strategy=strategy, is_continuous=True)
    with pytest.raises(PlanRefusedError, match="cannot be continuous"):
        planned(wanted, RECORD, fleet(), START)


def test_a_plan_remembers_whom_it_is_for() -> None:
    wanted = replace(request(selector="robot in (r1, r2)"), is_continuous=True)
    rollout = planned(wanted, RECORD, fleet(), START)
    assert (rollout.is_continuous, rollout.selector) == (True, "robot in (r1, r2)")
    assert (rollout.rollout_id, rollout.started_at) == (HERE, at(0))
