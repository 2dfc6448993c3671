"""When a rollout that waits for others is worth planning anew."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import Rollout, RolloutState
from rollout_coordinator.waiting import is_due
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, START, after, planned, started
from tests.unit.rollout_coordinator.takeover_scenes import superseded, watched

QUEUED = replace(planned(1), state=RolloutState.QUEUED, waits_for=(ELSEWHERE,))
OWNER = replace(started(1, 1), rollout_id=ELSEWHERE)


def due(*awaited: Rollout) -> bool:
    return is_due(QUEUED, awaited, START)


def test_nobody_is_planned_anew_while_another_owns_its_robots() -> None:
    assert not due(OWNER)


def test_a_success_that_is_watched_keeps_nobody_waiting() -> None:
    assert due(watched(OWNER, 3600))


def test_who_ended_or_lost_the_robots_keeps_nobody_waiting() -> None:
    assert due()
    assert due(replace(OWNER, state=RolloutState.ABORTED))
    assert due(after(OWNER, (superseded(1), 1)))
