"""Where the robots of a rollout stand, looked up once for all that a judgement asks. Pure.

To look up means to read the progress of each robot from memory, for ten thousand of them some
milliseconds; to ask what was found is a fraction of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from operator import attrgetter

from msgspec import Struct

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, Strategy
from rollout_coordinator.step import counting, due_phase, progress_of, reached

_PHASE = attrgetter("phase")


class Standing(Struct, frozen=True):
    """Robots, what is held of each, and its phase, in the same order."""

    robots: tuple[RobotId, ...]
    held: list[RobotProgress]
    phases: list[RobotPhase]

    def of(self, *phases: RobotPhase) -> Iterator[RobotId]:
        """Who stands in one of them."""
        wanted = frozenset(map(id, phases))  # a phase hashes slowly, and there is one of each
        return compress(self.robots, map(wanted.__contains__, map(id, self.phases)))

    def last(self, robots: int) -> Standing:
        """The last so many of them."""
        first = len(self.robots) - robots
        return Standing(self.robots[first:], self.held[first:], self.phases[first:])


def standing(rollout: Rollout) -> Standing:
    """The robots of this wave and every wave before it; while a blue-green one stages, everybody."""
    robots = reached(rollout)
    return _standing(robots, progress_of(rollout, robots))


def everybody(rollout: Rollout) -> Standing:
    """Every robot there is, in the order in which they are held."""
    return _standing(tuple(rollout.robots), list(rollout.robots.values()))


def _standing(robots: tuple[RobotId, ...], held: list[RobotProgress]) -> Standing:
    return Standing(robots, held, list(map(_PHASE, held)))


def that_count(rollout: Rollout, stands: Standing) -> Standing:
    """Those that are still this rollout's, and count for or against its model (``step.counting``)."""
    is_switching = rollout.strategy is Strategy.BLUE_GREEN and not rollout.staging
    if not is_switching and RobotPhase.SUPERSEDED not in stands.phases:
        return stands
    counts = counting(rollout, stands.held, stands.phases)
    if all(counts):
        return stands
    return _standing(tuple(compress(stands.robots, counts)), list(compress(stands.held, counts)))


def is_settled(rollout: Rollout, stands: Standing) -> bool:
    """Whether nobody is still to be given a target, or on the way to its goal."""
    return due_phase(rollout) not in stands.phases and RobotPhase.TARGETED not in stands.phases
