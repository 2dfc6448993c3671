"""Which open rollout cares about a fact: an index in memory, rebuilt from the stream at any time."""

from __future__ import annotations

from collections.abc import Iterable

from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.rollouts import FINAL_STATES, Rollout


class Interest:
    """Open rollouts by robot. It may be late, never wrong: every decision loads the truth."""

    def __init__(self) -> None:
        self._open: set[RolloutId] = set()
        self._robots: dict[RobotId, set[RolloutId]] = {}

    def note(self, rollout: Rollout) -> None:
        """Learn of a rollout's state, from the stream, a peer, or our own decision."""

        if rollout.state in FINAL_STATES:
            self._forget(rollout)
        elif rollout.rollout_id not in self._open:
            self._open.add(rollout.rollout_id)
            for robot in rollout.robots:
                self._robots.setdefault(robot, set()).add(rollout.rollout_id)

    def replace(self, rollouts: Iterable[Rollout]) -> None:
        """Start over from what the stream holds."""
        self._open.clear()
        self._robots.clear()
        for rollout in rollouts:
            self.note(rollout)

    def of(self, fact: Event) -> tuple[RolloutId, ...]:
        """The rollout that the fact names, and the open ones that its robot takes part in."""
        named = getattr(fact, "rollout_id", None)
        held = self._robots.get(getattr(fact, "robot_id", RobotId("")), set())
        return tuple(sorted(held | {named} if named else held))

    def open_rollouts(self) -> tuple[RolloutId, ...]:
        """Every rollout that time passes for."""
        return tuple(sorted(self._open))

    def _forget(self, rollout: Rollout) -> None:
        self._open.discard(rollout.rollout_id)
        for robot in rollout.robots:
            held = self._robots.get(robot)
            if held is not None:
                held.discard(rollout.rollout_id)
                if not held:
                    del self._robots[robot]
