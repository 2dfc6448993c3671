"""What is left of each site's floor while robots are admitted one by one. Pure.

A robot is on its way from the order to change what it serves until it proved that, or failed and
serves on. Whoever is about to be on its way takes a place, unless it is on its way already or serves
nothing. Of a robot with several models each counts: one that changes any of them is on its way. A silent robot takes one too: it may be back the next moment.
"""

from __future__ import annotations

from collections import Counter

from msgspec import UNSET

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    RobotProgress,
    Rollout,
    Strategy,
)
from fleetward.contracts.surroundings import SiteRoom, Surroundings
from fleetward.contracts.wording import how_many

FREE = SiteRoom()
_WITHOUT_A_PLACE = frozenset({Strategy.BLUE_GREEN, Strategy.SHADOW})
ON_ITS_WAY = (RobotPhase.TARGETED, RobotPhase.UNKNOWN, RobotPhase.REVERTING)
"""Where a robot stands that was given something else to serve."""


def takes_places(rollout: Rollout) -> bool:
    """Whether its robots are out of service on their way: not where both models stay warm."""
    return rollout.strategy not in _WITHOUT_A_PLACE


def is_on_its_way(progress: RobotProgress) -> bool:
    """Whether the robot was given something else to serve, and nobody knows how that went.

    One that another rollout took is on its way there, not here.
    """
    return progress.phase in ON_ITS_WAY and progress.targeted_at is not None


def may_serve(progress: RobotProgress) -> bool:
    """Whether the robot may have a model to serve: where it was given none, another pipeline may."""
    return progress.generation > 0 or progress.pipelines is not UNSET


def away_at(rollout: Rollout, site: str) -> tuple[RobotId, ...]:
    """The robots of a site that this rollout keeps out of service, in the order of its waves."""
    if rollout.state in FINAL_STATES or not takes_places(rollout):
        return ()
    return tuple(
        robot
        for robot, progress in rollout.robots.items()
        if progress.site == site and is_on_its_way(progress)
    )


class FloorPlaces:
    """Of every site with a floor: how many may still leave service."""

    def __init__(self, rollout: Rollout, around: Surroundings) -> None:
        self._rollout = rollout
        self._around = around
        self._in_service: dict[str, int] = {}
        self._taken: Counter[str] = Counter()

    def reason_against(self, robot: RobotId) -> str:
        """Why the robot may not leave service now, or an empty string."""
        if not self._needs_place(robot):
            return ""
        site = self._rollout.robots[robot].site
        room = self._around.sites[site]
        left = self._serving(site, room) - self._taken[site]
        if room.floor is None or left > room.floor:
            return ""
        return (
            f"site {site} must keep {room.floor} of its {how_many(room.robots, 'robot')} in service, "
            f"and has {max(left, 0)}"
        )

    def take(self, robot: RobotId) -> None:
        """The robot is about to be on its way."""
        if self._needs_place(robot):
            self._taken[self._rollout.robots[robot].site] += 1

    def _needs_place(self, robot: RobotId) -> bool:
        progress = self._rollout.robots[robot]
        room = self._around.sites.get(progress.site, FREE)
        if room.floor is None or not takes_places(self._rollout):
            return False
        if is_on_its_way(progress):
            return False
        if progress.phase is RobotPhase.PROVED:  # known sooner than its check-in is read
            return True
        return may_serve(progress) and robot not in room.idle

    def _serving(self, site: str, room: SiteRoom) -> int:
        """How many serve there now, but for those that this rollout has on their way."""
        if site not in self._in_service:
            away = away_at(self._rollout, site)
            self._in_service[site] = len(room.in_service.difference(away))
        return self._in_service[site]
