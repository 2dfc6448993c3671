"""A preparation pauses while the robot's work suffers, goes on when it is calm, and ends in the end."""

from __future__ import annotations

import asyncio

import pytest

from edge_bridge.converging.sparing import sparing
from edge_bridge.disturbance.brake import Brake
from edge_bridge.disturbance.limits import DisturbanceLimits
from edge_bridge.disturbance.work import Work
from edge_bridge.errors import DisturbedError
from fleetward.contracts.ids import Digest
from fleetward.contracts.robots import ActivationStage
from tests.unit.edge_bridge_bus.test_converge import target

LIMITS = DisturbanceLimits(
    inference_p99_s=0.1, control_loop_p99_s=0.01, window_s=10, calm_s=2, patience_s=5
)
BLUE, GREEN = Digest("sha256:" + "b" * 64), Digest("sha256:" + "a" * 64)


class Robot:
    """A brake, a clock that stands until it is moved, and what was told to pause."""

    def __init__(self, limits: DisturbanceLimits = LIMITS) -> None:
        self.now_s = 100.0
        self.told: list[str] = []
        self.changes = 0
        self.work = Work(limits, lambda: self.now_s)
        self.serving = self.work.serving("inference", limits.inference_p99_s)
        self.brake = Brake(limits, self.work, self._changed, lambda: self.now_s)

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def turns(self, late_s: float, seconds: float = 1.0) -> None:
        """The control loop turns at 10 Hz for a while, each turn so late, and the brake looks."""
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.work.turned(late_s)
            self.brake.look()

    def _changed(self) -> None:
        self.changes += 1


def test_a_control_loop_that_is_late_again_and_again_stops_a_preparation_until_it_is_calm() -> None:
    robot = Robot()
    with robot.brake.applied(7), robot.brake.over(robot):
        robot.turns(0.001, seconds=3)
        robot.turns(0.012, seconds=0.1)
        assert (robot.told, robot.brake.paused) == ([], ""), "one late turn says nothing"
        robot.turns(0.014, seconds=0.1)
        assert robot.told == ["pause"]
        assert robot.brake.paused == "the p99 of the control loop is 14.0 ms, more than 10.0 ms"
        robot.turns(0.001, seconds=1.8)
        assert robot.told == ["pause"]
        robot.turns(0.001, seconds=0.3)
        assert (robot.told, robot.brake.paused) == (["pause", "resume"], "")
        assert robot.changes == 2


def test_few_late_turns_among_many_do_not_stop_it() -> None:
    robot = Robot()
    with robot.brake.applied(7), robot.brake.over(robot):
        for at in range(1000):
            robot.now_s += 0.01
            robot.work.turned(0.05 if at % 100 == 99 else 0.001)
        robot.brake.look()
        assert robot.told == []


def test_the_model_that_serves_is_judged_by_its_own_answers_only() -> None:
    robot = Robot()
    assert robot.serving
    for _ in range(2):
        robot.serving.inferred(BLUE, 0.2)
    robot.serving.inferred(GREEN, 0.02)
    robot.brake.look()
    assert robot.brake.disturbed == ""
    for _ in range(2):
        robot.serving.inferred(GREEN, 0.15)
    robot.brake.look()
    assert robot.brake.disturbed.startswith("the p99 of inference is 150.0 ms")
    assert robot.brake.paused == "", "nothing is prepared"


def test_a_load_that_begins_or_ends_during_a_pause_is_told_so() -> None:
    robot = Robot()
    with robot.brake.applied(7):
        robot.turns(0.05)
        with robot.brake.over(robot):
            assert robot.told == ["pause"]
        assert robot.told == ["pause", "resume"]


def test_a_control_loop_that_falls_silent_holds_nothing_up() -> None:
    robot = Robot()
    with robot.brake.applied(7), robot.brake.over(robot):
        robot.turns(0.05)
        robot.now_s += 2.1
        robot.brake.look()
        assert robot.told == ["pause", "resume"]


def test_the_pauses_of_one_target_are_counted_together_and_those_of_the_next_anew() -> None:
    robot = Robot()
    for late_s, seconds in ((0.05, 3.0), (0.001, 2.5), (0.05, 4.0)):
        with robot.brake.applied(7):
            robot.turns(late_s, seconds)
    assert robot.brake.exhausted.is_set()
    with robot.brake.applied(8):
        assert not robot.brake.exhausted.is_set()


async def test_a_step_is_begun_when_calm_and_given_up_when_patience_ends() -> None:
    robot = Robot()
    ran: list[str] = []

    async def step() -> None:
        ran.append("step")

    robot.turns(0.05)
    sparing_it = asyncio.ensure_future(
        sparing(robot.brake, target("a", 1), ActivationStage.FETCH, step)
    )
    await asyncio.sleep(0)
    robot.turns(0.05, seconds=6)
    with pytest.raises(
        DisturbedError, match="for more than 5 s in all: the p99 of the control"
    ) as at:
        await sparing_it
    assert (ran, at.value.stage) == ([], ActivationStage.FETCH)
    robot.turns(0.001, seconds=3)
    await sparing(robot.brake, target("a", 2), ActivationStage.FETCH, step)
    assert ran == ["step"]


def test_without_limits_nothing_is_measured() -> None:
    robot = Robot(DisturbanceLimits())
    with robot.brake.applied(7), robot.brake.over(robot):
        robot.turns(9.0)
        assert (robot.told, robot.serving, robot.work.limited) == ([], None, False)
