"""Who of those whose turn it is may be given the model now, and why the others may not.

Read aloud: at most ``max_unavailable`` robots of a rolling rollout are on their way at a time, over
all and per site; one that was not heard again keeps its place. Nobody is given anything while the
window of its site is closed; going back waits for no window. A site with a floor never has fewer
robots in service than that (``floors``): whoever is about to swap takes one of its places, also to go
back. Staging and shadowing take none, as the model before serves on; nor does a blue-green switch,
whose two models are both warm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import (
    MAX_TARGETS_PER_STEP,
    RobotPhase,
    Rollout,
    Strategy,
)
from fleetward.contracts.surroundings import Surroundings
from fleetward.contracts.wording import how_many
from rollout_coordinator.floors import FREE, ON_ITS_WAY, FloorPlaces, is_on_its_way
from rollout_coordinator.phases import Standing


class Admitted(Struct, frozen=True):
    """Robots in the order they were asked for; ``withheld`` names the first reason against one.

    ``is_scheduled``: it passes by itself at a known time. A reason that does not goes before it.
    """

    robots: tuple[RobotId, ...]
    withheld: str = ""
    is_scheduled: bool = False


def _is_unknown(rollout: Rollout, robot: RobotId) -> bool:
    return rollout.robots[robot].phase is RobotPhase.UNKNOWN


def _away_in_wave(rollout: Rollout, stands: Standing) -> list[RobotId]:
    """Who of the current wave is on its way, in the order of the wave."""
    wave = stands.last(len(rollout.waves[rollout.wave]))
    return [robot for robot in wave.of(*ON_ITS_WAY) if is_on_its_way(rollout.robots[robot])]


class _Turns:
    """Whose turn it is in a rolling rollout; in another it is everybody's."""

    def __init__(self, rollout: Rollout, stands: Standing) -> None:
        self._rollout = rollout
        self._is_rolling = rollout.strategy is Strategy.ROLLING
        away = _away_in_wave(rollout, stands) if self._is_rolling else []
        self._lost = [robot for robot in away if _is_unknown(rollout, robot)]
        self._away = len(away)
        self._away_at = Counter(rollout.robots[robot].site for robot in away)

    def reason_against_all(self) -> str:
        """Why no turn comes by itself any more: robots that were not heard again hold the places."""
        if not self._is_rolling or not self._lost or len(self._lost) < self._away:
            return ""
        return (
            f"{self._lost[0]} was not heard again, and {len(self._lost)} of at most "
            f"{how_many(self._rollout.policy.max_unavailable, 'robot')} may be unavailable"
        )

    def are_taken(self) -> bool:
        """Whether a rolling rollout has no place left for anybody."""
        return self._is_rolling and self._away >= self._rollout.policy.max_unavailable

    def has_come(self, robot: RobotId) -> bool:
        """Whether a rolling rollout has a place for it."""
        site, policy = self._rollout.robots[robot].site, self._rollout.policy
        return not self._is_rolling or (
            self._away < policy.max_unavailable
            and self._away_at[site] < policy.max_unavailable_per_site
        )

    def take(self, robot: RobotId) -> None:
        """The robot is about to be on its way."""
        self._away += 1
        self._away_at[self._rollout.robots[robot].site] += 1


def admitted(
    rollout: Rollout, stands: Standing, due: Sequence[RobotId], around: Surroundings
) -> Admitted:
    """Who of ``due`` is given its target now, a bounded number at a time.

    ``stands``: the robots of the waves so far (``standing``).
    """
    if not due:
        return Admitted(())
    turns, places = _Turns(rollout, stands), FloorPlaces(rollout, around)
    robots: list[RobotId] = []
    lasting, scheduled = "", ""
    for robot in due:
        if len(robots) == MAX_TARGETS_PER_STEP:
            break
        if not turns.has_come(robot):
            lasting = lasting or turns.reason_against_all()
            if turns.are_taken():
                break
            continue
        room = around.sites.get(rollout.robots[robot].site, FREE)
        if room.closed and room.opens_at is not None:
            scheduled = scheduled or room.closed
            continue
        reason = room.closed or places.reason_against(robot)
        lasting = lasting or reason
        if not reason:
            turns.take(robot)
            places.take(robot)
            robots.append(robot)
    return Admitted(tuple(robots), lasting or scheduled, is_scheduled=not lasting)


def admitted_back(rollout: Rollout, due: Iterable[RobotId], around: Surroundings) -> Admitted:
    """Who of ``due`` is taken back now: only one that serves takes a place of its site's floor."""
    places = FloorPlaces(rollout, around)
    robots: list[RobotId] = []
    withheld = ""
    for robot in due:
        if len(robots) == MAX_TARGETS_PER_STEP:
            break
        reason = places.reason_against(robot)
        withheld = withheld or reason
        if not reason:
            places.take(robot)
            robots.append(robot)
    return Admitted(tuple(robots), withheld)
