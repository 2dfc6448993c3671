"""A newer rollout takes robots over; a success is watched."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import Rollout, RolloutState
from rollout_coordinator.step import Superseded
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, START, at, robot


def superseded(*numbers: int) -> Superseded:
    """A newer rollout takes robots over."""
    return Superseded(tuple(robot(number) for number in numbers), ELSEWHERE)


def watched(rollout: Rollout, seconds: float) -> Rollout:
    """The rollout as if it had succeeded just now, and were watched until then."""
    return replace(rollout, state=RolloutState.SUCCEEDED, ended_at=START, watched_until=at(seconds))
