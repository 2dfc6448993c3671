"""Where robots stand is the same in whatever order they are held."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, Rollout, Strategy
from rollout_coordinator.phases import Standing, standing, that_count
from rollout_coordinator.step import counted, progress_of
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import robot

PHASES = {
    1: RobotPhase.PROVED,
    2: RobotPhase.SUPERSEDED,
    3: RobotPhase.STAGED,
    4: RobotPhase.FAILED,
}
"""Robots 1 and 2 are the first wave. 1 was given its switch."""


def rollout(strategy: Strategy = Strategy.CANARY, *, held_backwards: bool = False) -> Rollout:
    """Its second wave is under way, and nobody stages any more."""
    plan = replace(scenes.planned(2, 2, strategy=strategy), wave=1, staging=False)
    robots = {
        robot(number): replace(
            plan.robots[robot(number)], phase=phase, is_to_switch=number == 1, generation=number
        )
        for number, phase in PHASES.items()
    }
    if held_backwards:
        robots = dict(reversed(robots.items()))
    return replace(plan, robots=robots)


def stands(held: Rollout, *numbers: int) -> Standing:
    """These robots, as ``PHASES`` has them."""
    robots = tuple(map(robot, numbers))
    progress = [held.robots[each] for each in robots]
    return Standing(robots, progress, [PHASES[number] for number in numbers])


@pytest.mark.parametrize("backwards", [False, True])
def test_each_robot_is_read_where_it_is_held(backwards: bool) -> None:
    held = rollout(held_backwards=backwards)
    asked = (robot(1), robot(2), robot(3))
    assert [each.generation for each in progress_of(held, asked)] == [1, 2, 3]
    assert standing(held) == stands(held, *PHASES)


@pytest.mark.parametrize("backwards", [False, True])
def test_who_was_taken_over_counts_for_nothing(backwards: bool) -> None:
    held = rollout(held_backwards=backwards)
    ours = (robot(1), robot(3), robot(4))
    assert counted(held, tuple(map(robot, PHASES))) == ours
    assert that_count(held, standing(held)).robots == ours


@pytest.mark.parametrize("backwards", [False, True])
def test_once_it_switches_only_those_count_that_hold_green(backwards: bool) -> None:
    held = rollout(Strategy.BLUE_GREEN, held_backwards=backwards)
    assert that_count(held, standing(held)) == stands(held, 1, 3)
