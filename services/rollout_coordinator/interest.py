"""Which open rollout cares about a fact: an index in memory, rebuilt from the stream at any time."""

from __future__ import annotations

from collections.abc import Iterable

from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.rollouts import Rollout, is_open
from rollout_coordinator.gates import Question, questions
from rollout_coordinator.joining import takes_joiners
from rollout_coordinator.waiting import is_waiting


class Interest:
    """Open rollouts by robot. It may be late, never wrong: every decision loads the truth."""

    def __init__(self) -> None:
        self._open: set[RolloutId] = set()
        self._waiting: set[RolloutId] = set()
        self._sizes: dict[RolloutId, int] = {}
        self._robots: dict[RobotId, set[RolloutId]] = {}
        self._noted: dict[RolloutId, Rollout] = {}
        self._continuous: set[RolloutId] = set()
        self._questions: dict[RolloutId, tuple[Question, ...]] = {}

    def note(self, rollout: Rollout) -> None:
        """Learn of a rollout's state, from the stream, a peer, or our own decision."""
        self._noted[rollout.rollout_id] = rollout
        if takes_joiners(rollout):
            self._continuous.add(rollout.rollout_id)
        else:
            self._continuous.discard(rollout.rollout_id)
        self._questions[rollout.rollout_id] = questions(rollout)
        waited = rollout.rollout_id in self._waiting
        self._waiting.discard(rollout.rollout_id)
        if is_waiting(rollout):
            self._waiting.add(rollout.rollout_id)
        if not is_open(rollout):
            self._forget(rollout)
        elif self._sizes.get(rollout.rollout_id, -1) < len(rollout.robots) or waited:
            self._open.add(rollout.rollout_id)
            self._sizes[rollout.rollout_id] = len(rollout.robots)
            for robot in rollout.robots:
                self._robots.setdefault(robot, set()).add(rollout.rollout_id)

    def begin_refresh(self) -> None:
        """The stream is about to be read: what is noted from now on is newer than the reading."""
        self._noted.clear()

    def replace(self, rollouts: Iterable[Rollout]) -> None:
        """Start over from what the stream held, and from what was noted since ``begin_refresh``."""
        newer = self._noted
        self._open, self._robots, self._noted, self._questions = set(), {}, {}, {}
        self._waiting = set()
        self._sizes, self._continuous = {}, set()
        for rollout in (*rollouts, *newer.values()):
            self.note(rollout)
        self._noted.clear()

    def of(self, fact: Event) -> tuple[RolloutId, ...]:
        """The rollout that the fact names, and the open ones that its robot takes part in."""
        named = getattr(fact, "rollout_id", None)
        held = self._robots.get(getattr(fact, "robot_id", RobotId("")), set())
        return tuple(sorted(held | {named} if named else held))

    def knows(self, rollout_id: RolloutId, robots: int) -> bool:
        """Whether it is open, with as many robots, as far as is known here."""
        return self._sizes.get(rollout_id, -1) >= robots

    def most_robots(self) -> int:
        """How many the largest open rollout has, as far as is known here."""
        return max(self._sizes.values(), default=0)

    def continuous_rollouts(self) -> tuple[RolloutId, ...]:
        """Those that robots may join."""
        return tuple(sorted(self._continuous & self._open))

    def is_waiting(self, rollout_id: RolloutId) -> bool:
        """Whether it is yet to begin, as far as is known here."""
        return rollout_id in self._waiting

    def questions(self) -> tuple[Question, ...]:
        """What web services are to be asked about the open rollouts now."""
        return tuple(question for asked in self._questions.values() for question in asked)

    def open_rollouts(self) -> tuple[RolloutId, ...]:
        """Every rollout that time passes for."""
        return tuple(sorted(self._open))

    def _forget(self, rollout: Rollout) -> None:
        self._open.discard(rollout.rollout_id)
        self._sizes.pop(rollout.rollout_id, None)
        self._questions.pop(rollout.rollout_id, None)
        for robot in rollout.robots:
            held = self._robots.get(robot)
            if held is not None:
                held.discard(rollout.rollout_id)
                if not held:
                    del self._robots[robot]
