"""Whose inferences count, for which side, and how often."""

from __future__ import annotations

import math

import msgspec
import pytest
from msgspec.structs import replace

from fleetward.contracts.compared import compared, lone
from fleetward.contracts.evidence import Evidence, Spread
from fleetward.contracts.ids import Digest
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, Strategy
from rollout_coordinator.evidence import next_wave, with_summary
from rollout_coordinator.step import Tick
from rollout_coordinator.verdict import condemnation
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.cohorts import Like, trial
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    OLD,
    activated,
    after,
    at,
    failed,
    robot,
    started,
    summary,
    told,
)


def test_targeted_robot_on_the_new_model_is_canary_and_waiting_robot_is_control() -> None:
    seen = after(started(1, 1), (summary(1, 1, NEW), 1), (summary(2, 1, OLD), 1)).evidence
    assert (seen.canary.inferences, seen.control.inferences) == (20, 20)
    assert seen.canary.latency_ms.total == pytest.approx(200)


@pytest.mark.parametrize(("number", "digest"), [(2, NEW), (9, NEW), (9, OLD)])
def test_other_inferences_do_not_count(number: int, digest: object) -> None:
    running = started(1, 1)
    assert digest in {OLD, NEW}
    window = summary(number, 1, OLD if digest == OLD else NEW)
    assert with_summary(running, window, at(1)) is running.evidence


def test_window_counts_once_and_never_after_a_newer_one() -> None:
    once = after(started(1), (summary(1, 5), 5))
    assert told(once, summary(1, 5), 5).rollout is once
    assert told(once, summary(1, 4), 6).rollout is once
    assert after(once, (summary(1, 6), 6)).evidence.canary.inferences == 40


def test_window_from_before_the_wave_does_not_count() -> None:
    running = started(1)
    assert with_summary(running, summary(1, -1), at(-1)) is running.evidence


@pytest.mark.parametrize("off_by_days", [-30, 30])
def test_window_of_a_robot_whose_clock_is_days_off_counts_when_it_is_stored(
    off_by_days: int,
) -> None:
    running = started(1)
    window = summary(1, off_by_days * 86_400)
    assert with_summary(running, window, at(-1)) is running.evidence
    assert with_summary(running, window, at(2)).canary.inferences == 20


def test_evidence_starts_over_with_a_wave_but_a_copy_stays_a_copy() -> None:
    """The robot's clock may be ahead of ours: its counted window must not count again."""
    ahead = summary(1, 500)
    second = after(started(1, 1), (activated(1), 1), (ahead, 2), (Tick(), 20))
    assert second.wave == 1
    assert second.evidence.canary.inferences == 0
    assert told(second, ahead, 21).rollout is second


def test_failed_robot_no_longer_counts() -> None:
    policy = replace(started(2).policy, max_error_percent=50)
    running = after(started(2, policy=policy), (failed(1), 1))
    assert with_summary(running, summary(1, 2), at(2)) is running.evidence


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["latency_ms_sum", "confidence_sum_of_squares"])
def test_window_that_holds_no_number_does_not_count(poison: float, field: str) -> None:
    running = started(1)
    window = replace(summary(1, 1), **{field: poison})
    assert with_summary(running, window, at(1)) is running.evidence


def test_errors_are_inferences_without_a_latency() -> None:
    seen = after(started(1), (summary(1, 1, errors=5), 1)).evidence.canary
    assert (seen.inferences, seen.errors, seen.latency_ms.count) == (20, 5, 15)


def test_robot_is_its_own_past_until_it_swaps() -> None:
    running = after(started(1, 1), (summary(1, 1, OLD, latency_ms=30), 1), (summary(2, 1, OLD), 1))
    assert (running.evidence.canary.inferences, running.evidence.control.inferences) == (0, 0)
    swapped = after(running, (summary(1, 2), 2), (summary(2, 2, OLD), 2)).evidence
    canary, control = swapped.observed[robot(1)], swapped.observed[robot(2)]
    assert [each.before[0].total for each in (canary, control)] == [600, 200]
    assert [each.after[0].total for each in (canary, control)] == [200, 200]


def test_control_robot_that_gets_the_model_takes_its_past_along_to_the_next_wave() -> None:
    heard = ((summary(1, 1), 1), (summary(2, 1, OLD), 1), (activated(1), 2), (Tick(), 3))
    second = after(started(1, 1), *heard, (Tick(), 20))
    assert second.wave == 1
    control = second.evidence.observed[robot(2)]
    assert (control.before[0].count, control.after) == (20, ())
    swapped = after(second, (summary(2, 21), 21), (summary(1, 21), 21)).evidence
    (stratum,) = swapped.strata.values()
    assert stratum.control == ()
    latency = stratum.canary[0]
    assert (latency.robots, latency.paired, latency.count) == (2, 1, 40)


def test_strata_hold_what_the_robots_said_whatever_the_order() -> None:
    """Sums that are moved along window by window are those of the robots as they ended up."""
    likes = [Like(latency_ms=20 + number, site=f"s{number % 3}") for number in range(9)]
    ran = trial(likes[:4], likes[4:], RolloutPolicy())
    (*_, seen) = ran.windows(7)
    metrics = compared(ran.rollout.policy)
    for key, stratum in seen.strata.items():
        for is_canary, cohort in ((True, stratum.canary), (False, stratum.control)):
            alone = [
                [lone(metric, past, now) for metric, past, now in zip(metrics, *said, strict=True)]
                for name, one in seen.observed.items()
                if f"{ran.rollout.robots[name].site}/" == key and one.is_canary is is_canary
                for said in [(one.before, one.after)]
            ]
            for place, spread in enumerate(cohort):
                for field in Spread.__struct_fields__:
                    whole = sum(getattr(robot[place], field) for robot in alone)
                    assert getattr(spread, field) == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_evidence_stored_by_an_older_coordinator_is_read_and_goes_on() -> None:
    old = {"canary": {"inferences": 20}, "control": {"inferences": 5}, "counted_until": {}}
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Evidence)
    going_on = replace(started(1, 1), evidence=read)
    seen = with_summary(going_on, summary(1, 1), at(1))
    assert (seen.canary.inferences, seen.windows) == (40, 1)


def serving(strategy: Strategy, *, staging: bool, phase: RobotPhase) -> Rollout:
    """Five robots that hold the new model as such a strategy has it."""
    rollout = scenes.planned(5)
    robots = {name: replace(held, phase=phase) for name, held in rollout.robots.items()}
    return replace(rollout, strategy=strategy, staging=staging, robots=robots)


def heard(rollout: Rollout, seconds: int, digest: Digest, latency_ms: float) -> Rollout:
    """A window of each of the five."""
    for number in range(1, 6):
        window = summary(number, seconds, digest, latency_ms=latency_ms + number)
        evidence = with_summary(rollout, window, at(seconds))
        rollout = replace(rollout, evidence=evidence)
    return rollout


def test_robot_that_shadows_is_its_own_control_in_the_same_second() -> None:
    shadowing = serving(Strategy.SHADOW, staging=False, phase=RobotPhase.TARGETED)
    reasons = set()
    for seconds in range(1, 8):
        shadowing = heard(heard(shadowing, seconds, OLD, 20), seconds, NEW, 60)
        reasons.add(condemnation(shadowing.evidence, RolloutPolicy(), 1))
    seen = shadowing.evidence
    assert (seen.canary.inferences, seen.control.inferences) == (700, 700)
    assert any("63.0 ms on the new model against 23.0 ms" in reason for reason in reasons)
    again = summary(1, 7, OLD)
    assert with_summary(shadowing, again, at(8)) is seen


def test_fleet_that_switched_is_compared_with_what_it_was_while_it_staged() -> None:
    staging = serving(Strategy.BLUE_GREEN, staging=True, phase=RobotPhase.STAGED)
    staged = heard(heard(staging, 1, OLD, 20), 2, OLD, 20)
    assert staged.evidence.control.inferences == 200
    proved = {name: replace(of, phase=RobotPhase.PROVED) for name, of in staged.robots.items()}
    switched = replace(staged, staging=False, robots=proved, evidence=next_wave(staged))
    bad = heard(switched, 3, NEW, 60)
    assert condemnation(bad.evidence, RolloutPolicy(), 1).startswith("inference takes 6")
    good = heard(switched, 3, NEW, 20)
    assert (good.evidence.looks, condemnation(good.evidence, RolloutPolicy(), 1)) == (1, "")
