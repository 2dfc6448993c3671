"""One owner per robot: which open rollout that is."""

from __future__ import annotations

from collections.abc import Iterable

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import FINAL_STATES, RobotPhase, Rollout, RolloutState


def owners(rollouts: Iterable[Rollout]) -> dict[RobotId, Rollout]:
    """Each owned robot's rollout.

    A queued rollout owns a robot that nobody else does, so that nobody comes between: of several, the
    one that was asked for first.
    """
    owned: dict[RobotId, Rollout] = {}
    for rollout in sorted(rollouts, key=_precedence):
        if rollout.state in FINAL_STATES:
            continue
        for robot, progress in rollout.robots.items():
            if progress.phase is not RobotPhase.SUPERSEDED:
                owned.setdefault(robot, rollout)
    return owned


def _precedence(rollout: Rollout) -> tuple[object, ...]:
    return rollout.state is RolloutState.QUEUED, rollout.started_at, rollout.rollout_id
