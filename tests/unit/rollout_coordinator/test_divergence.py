"""A shadow that differs too much, or by nobody knows how much, fails where the policy bounds it."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Strategy
from rollout_coordinator.hearing import progressed
from tests.unit.rollout_coordinator.scenes import POLICY, at, robot, shadowed, started


def told_of(
    divergence: dict[str, float], bound: float | None, incomparable: tuple[str, ...] = ()
) -> RobotProgress:
    policy = replace(POLICY, max_divergence=bound)
    running = started(1, policy=policy, strategy=Strategy.SHADOW)
    generation = running.robots[robot(1)].generation
    fact = replace(shadowed(1, generation), divergence=divergence, incomparable=incomparable)
    progress = progressed(running, fact, at(1))
    assert progress is not None
    return progress


@pytest.mark.parametrize("divergence", [{}, {"boxes": 0.0}, {"boxes": 0.1, "scores": 0.05}])
def test_a_shadow_within_the_bound_or_without_one_is_proved(divergence: dict[str, float]) -> None:
    assert told_of(divergence, None).phase is RobotPhase.PROVED
    if divergence:
        assert told_of(divergence, 0.1).phase is RobotPhase.PROVED


@pytest.mark.parametrize("apart", [0.11, math.inf, math.nan])
def test_the_output_that_differs_most_is_named(apart: float) -> None:
    for divergence in ({"boxes": 0.05, "scores": apart}, {"scores": apart, "boxes": 0.105}):
        failed = told_of(divergence, 0.1)
        assert failed.phase is RobotPhase.FAILED
        assert failed.reason.startswith("output scores differs by")


def test_a_shadow_that_could_not_be_compared_fails_where_the_policy_bounds_its_difference() -> None:
    failed = told_of({}, 0.1)
    assert failed.phase is RobotPhase.FAILED
    assert "cannot be compared with what serves: all" in failed.reason


def test_one_output_that_cannot_be_compared_is_enough() -> None:
    failed = told_of({"scores": 0.0}, 0.1, incomparable=("boxes", "masks"))
    assert failed.phase is RobotPhase.FAILED
    assert "cannot be compared with what serves: boxes, masks" in failed.reason
    assert told_of({"scores": 0.0}, None, incomparable=("boxes",)).phase is RobotPhase.PROVED
