"""A robot that says why it does not swap yet is not silent: it is waited for, and not for ever."""

from __future__ import annotations

from typing import NoReturn

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fleetward.cli.rollout_waits import waiting_for
from fleetward.contracts.control import ControlAction
from fleetward.contracts.deadlines import held_back
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotCheckedIn
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutState,
    Strategy,
)
from fleetward.contracts.surroundings import NOTHING_AROUND
from rollout_coordinator.held import unless_held_up
from rollout_coordinator.moves import moves, robot_moves
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import after, at, phase, robot, started, told

DOCKED = "docked: docked is false"
STALLS_S = 300
POLICY = replace(scenes.POLICY, stalled_after_s=STALLS_S)
SPARING = replace(POLICY, min_success_percent=50)


def waits(number: int) -> RobotCheckedIn:
    """It is heard, serves what it served, and says why it does not swap."""
    return scenes.checked_in(number, digest=scenes.OLD, held_back=DOCKED)


def may_swap(number: int) -> RobotCheckedIn:
    """It is heard, and nothing holds it back any more."""
    return scenes.checked_in(number, digest=scenes.OLD)


def held(*wave_sizes: int, sparing: bool = False) -> Rollout:
    """Robot 1 waits to swap since second 5; the rest of its wave proved the model."""
    rollout = started(*wave_sizes, policy=SPARING if sparing else POLICY)
    proofs = [(scenes.activated(number), 2.0) for number in range(2, wave_sizes[0] + 1)]
    return after(rollout, *proofs, (waits(1), 5.0))


def test_a_robot_that_is_held_back_is_not_unknown_past_the_deadline_of_the_silent() -> None:
    later = after(held(2, 1), (Tick(), 200.0))
    assert phase(later, 1) is RobotPhase.TARGETED
    assert later.robots[robot(1)].reason == f"it waits to swap: {DOCKED}"


def test_it_says_so_again_without_a_new_decision() -> None:
    rollout = held(2, 1)
    assert told(rollout, waits(1), 9.0).rollout is rollout


def test_its_deadline_begins_when_it_may_swap() -> None:
    freed = after(held(2, 1), (may_swap(1), 100.0))
    assert freed.robots[robot(1)].held_at is UNSET
    assert phase(after(freed, (Tick(), 159.0)), 1) is RobotPhase.TARGETED
    assert phase(after(freed, (Tick(), 161.0)), 1) is not RobotPhase.TARGETED


def test_its_deadline_begins_when_it_falls_silent() -> None:
    silent = after(held(2, 1, sparing=True), (scenes.silent(1), 100.0))
    assert phase(after(silent, (Tick(), 159.0)), 1) is RobotPhase.TARGETED
    gone = after(silent, (Tick(), 161.0))
    assert phase(gone, 1) is RobotPhase.UNKNOWN
    assert "then it fell silent" in gone.robots[robot(1)].reason


def test_an_older_word_of_its_own_does_not_hold_it_back_again() -> None:
    freed = after(held(2, 1), (may_swap(1), 100.0))
    assert told(freed, waits(1), 50.0).rollout is freed
    assert told(held(2, 1), may_swap(1), 4.0).rollout.robots[robot(1)].held_at is not UNSET


def test_it_proves_the_model_once_it_swapped() -> None:
    proved = after(held(2, 1), (scenes.activated(1), 250.0))
    assert phase(proved, 1) is RobotPhase.PROVED
    assert proved.robots[robot(1)].held_at is UNSET


def test_a_rollout_that_can_spare_it_goes_on_without_it() -> None:
    rollout = held(2, 1, sparing=True)
    assert phase(after(rollout, (Tick(), 5.0 + STALLS_S - 1)), 1) is RobotPhase.TARGETED
    without = after(rollout, (Tick(), 5.0 + STALLS_S))
    assert without.state is RolloutState.RUNNING
    assert phase(without, 1) is RobotPhase.UNKNOWN
    assert DOCKED in without.robots[robot(1)].reason


@pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.ROLLING])
def test_a_rollout_that_cannot_spare_it_pauses_and_asks_and_takes_nothing_back(
    strategy: Strategy,
) -> None:
    rollout = after(started(1, 1, policy=POLICY, strategy=strategy), (waits(1), 5.0))
    step = told(rollout, Tick(), 5.0 + STALLS_S)
    assert step.rollout.state is RolloutState.PAUSED
    assert step.rollout.reason == (
        f"inconclusive: for 300 s 1 robot did not swap, r1 first: it waits to swap: {DOCKED}"
    )
    assert phase(step.rollout, 1) is RobotPhase.TARGETED
    assert not step.targets


def test_resumed_it_is_waited_for_as_long_again() -> None:
    paused = after(held(1, 1), (Tick(), 5.0 + STALLS_S))
    resumed = after(paused, (scenes.asked(ControlAction.RESUME), 1000.0))
    assert after(resumed, (Tick(), 1299.0)).state is RolloutState.RUNNING
    assert after(resumed, (Tick(), 1301.0)).state is RolloutState.PAUSED


def test_people_are_told_who_is_waited_for_why_and_until_when() -> None:
    rollout = held(2, 1)
    assert moves(rollout, at(10))[0] == (
        f"r1 may not swap yet (it waits to swap: {DOCKED}); at 2026-01-01 12:05:05 UTC it goes on "
        "without them if the thresholds spare them, and else pauses and asks."
    )
    assert robot_moves(rollout, robot(1), NOTHING_AROUND) == (
        f"Leave to swap, on the robot itself: it waits to swap: {DOCKED}.",
    )
    assert waiting_for(rollout, at(65)) == (
        f"r1 may not swap yet (it waits to swap: {DOCKED}); in 4 min it goes on without them, or pauses "
        "and asks"
    )


class Unread(dict[RobotId, RobotProgress]):
    """Robots that nobody may look at."""

    def values(self) -> NoReturn:
        raise AssertionError("robots were looked at")


def test_robots_are_not_looked_at_until_their_wave_may_have_waited_for_long_enough() -> None:
    """Of ten thousand that costs more than the rest of a judgement."""
    young = replace(held(2, 1), robots=Unread(held(2, 1).robots))
    assert unless_held_up(young, at(STALLS_S - 1)).rollout is young
    with pytest.raises(AssertionError, match="looked at"):
        unless_held_up(young, at(STALLS_S))


def test_the_next_wave_waits_for_its_own_robots_as_long_and_for_nobody_who_was_left_behind() -> (
    None
):
    """So nobody of a younger wave has been held back for long enough."""
    left = after(held(2, 1, sparing=True), (scenes.summary(2, 6.0), 6.0), (Tick(), 5.0 + STALLS_S))
    baked = after(left, (Tick(), 320.0), (Tick(), 335.0))
    widened = after(baked, (waits(1), 340.0), (waits(3), 341.0))
    assert (widened.wave, widened.wave_started_at) == (1, at(335))
    assert held_back(widened) == [robot(3)]
    assert after(widened, (Tick(), 341.0 + STALLS_S - 1)).state is RolloutState.RUNNING
    assert after(widened, (Tick(), 341.0 + STALLS_S)).state is RolloutState.PAUSED
