"""One owner per robot and pipeline: which open rollout that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleetward.contracts.ids import RobotId
from fleetward.contracts.places import Place, places
from fleetward.contracts.rollouts import FINAL_STATES, RobotPhase, Rollout, RolloutState

Owners = Mapping[tuple[RobotId, Place], Rollout]


def owners(rollouts: Iterable[Rollout]) -> dict[tuple[RobotId, Place], Rollout]:
    """The rollout of each place that is owned on a robot.

    A queued rollout owns a place that nobody else does, so that nobody comes between: of several, the
    one that was asked for first.
    """
    owned: dict[tuple[RobotId, Place], Rollout] = {}
    for rollout in sorted(rollouts, key=_precedence):
        if rollout.state in FINAL_STATES:
            continue
        for robot, progress in rollout.robots.items():
            if progress.phase is not RobotPhase.SUPERSEDED:
                for place in places(rollout, progress):
                    owned.setdefault((robot, place), rollout)
    return owned


def _precedence(rollout: Rollout) -> tuple[object, ...]:
    return rollout.state is RolloutState.QUEUED, rollout.started_at, rollout.rollout_id
