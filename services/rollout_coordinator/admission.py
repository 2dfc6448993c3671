"""Who of those whose turn it is may be given the model now, and why the others may not.

Read aloud: at most ``max_unavailable`` robots of a rolling rollout are on their way at a time, over
all and per site. Nobody is given anything while the window of its site is closed. A site with a floor
never has fewer robots in service than that: whoever is about to swap takes one of its places, also to
go back. Staging and shadowing take none, as the model before serves on; nor does a blue-green switch,
whose two models are both warm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import (
    MAX_TARGETS_PER_STEP,
    RobotPhase,
    Rollout,
    Strategy,
)
from fleetward.contracts.surroundings import SiteRoom, Surroundings
from rollout_coordinator.step import in_wave

_FREE = SiteRoom()
_WITHOUT_A_PLACE = frozenset({Strategy.BLUE_GREEN, Strategy.SHADOW})


class Admitted(Struct, frozen=True):
    """Robots in the order they were asked for; ``withheld`` names the first reason against one."""

    robots: tuple[RobotId, ...]
    withheld: str = ""


class _Places:
    """What is left while robots are admitted one by one."""

    def __init__(self, rollout: Rollout, around: Surroundings) -> None:
        self._rollout = rollout
        self._around = around
        self._is_rolling = rollout.strategy is Strategy.ROLLING
        self._needs_place = rollout.strategy not in _WITHOUT_A_PLACE
        on_their_way = [
            rollout.robots[robot].site
            for robot in in_wave(rollout)
            if rollout.robots[robot].phase is RobotPhase.TARGETED
        ]
        self._away = len(on_their_way)
        self._away_at = Counter(on_their_way)
        self._taken_at: Counter[str] = Counter()

    def reason_against(self, robot: RobotId) -> str:
        """Why the robot may not be given the model now, or an empty string."""
        site = self._rollout.robots[robot].site
        room = self._around.sites.get(site, _FREE)
        if room.closed:
            return room.closed
        if self._needs_place and room.free is not None and self._taken_at[site] >= room.free:
            return f"site {site} would have fewer robots in service than its floor"
        return ""

    def is_its_turn(self, robot: RobotId) -> bool:
        """Whether a rolling rollout has a place for it."""
        site, policy = self._rollout.robots[robot].site, self._rollout.policy
        return not self._is_rolling or (
            self._away < policy.max_unavailable
            and self._away_at[site] < policy.max_unavailable_per_site
        )

    def take(self, robot: RobotId) -> None:
        """The robot is about to be on its way."""
        site = self._rollout.robots[robot].site
        self._away += 1
        self._away_at[site] += 1
        self._taken_at[site] += 1


def admitted(rollout: Rollout, due: Sequence[RobotId], around: Surroundings) -> Admitted:
    """Who of ``due`` is given its target now, a bounded number at a time."""
    places = _Places(rollout, around)
    robots: list[RobotId] = []
    withheld = ""
    for robot in due:
        if len(robots) == MAX_TARGETS_PER_STEP:
            break
        if not places.is_its_turn(robot):
            continue
        reason = places.reason_against(robot)
        withheld = withheld or reason
        if not reason:
            places.take(robot)
            robots.append(robot)
    return Admitted(tuple(robots), withheld)


def admitted_back(rollout: Rollout, due: Sequence[RobotId], around: Surroundings) -> Admitted:
    """Who of ``due`` is taken back now: only one that serves takes a place of its site's floor."""
    taken_at: Counter[str] = Counter()
    robots: list[RobotId] = []
    withheld = ""
    for robot in due:
        if len(robots) == MAX_TARGETS_PER_STEP:
            break
        progress = rollout.robots[robot]
        if rollout.strategy not in _WITHOUT_A_PLACE and progress.phase is RobotPhase.PROVED:
            free = around.sites.get(progress.site, _FREE).free
            if free is not None and taken_at[progress.site] >= free:
                floor = f"site {progress.site} would have fewer robots in service than its floor"
                withheld = withheld or floor
                continue
            taken_at[progress.site] += 1
        robots.append(robot)
    return Admitted(tuple(robots), withheld)
