"""What a plan is made on: robots, what they were given and say, and the rollouts that are open. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import UNSET, Struct

from fleetward.contracts.bridge_release import MAX_EXTRA_CHARACTERS, MAX_EXTRAS
from fleetward.contracts.fleet_facts import facts_of
from fleetward.contracts.ids import Digest, ModelName, RobotId
from fleetward.contracts.places import Place, place_of
from fleetward.contracts.registry import ModelRecord, Variant
from fleetward.contracts.robots import (
    MAX_PLACES,
    RobotCheckedIn,
    RobotEnrolled,
    RobotTarget,
    TargetMode,
)
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.selector_terms import Facts
from rollout_coordinator.entries import Pipelines, entry_at
from rollout_coordinator.serving import Served, served


class Heard(Struct, frozen=True):
    """What a robot said of itself last, and when the server stored it."""

    said: RobotCheckedIn
    at: datetime


class Fleet(Struct, frozen=True):
    """What the planner sees: who is enrolled, what each was last given, which rollouts are open."""

    robots: tuple[RobotEnrolled, ...]
    targets: Mapping[RobotId, RobotTarget]
    open_rollouts: tuple[Rollout, ...]
    withdrawn: Mapping[Digest, str] = {}
    """Why nobody may be given, or return to, some bytes any more."""
    heard: Mapping[RobotId, Heard] = {}
    """What each robot said last; those that never said anything are missing."""
    further: Mapping[ModelName, ModelRecord] = {}
    """The models that are asked for to switch together with a rollout's own."""

    def modes(self, robot: RobotId) -> frozenset[TargetMode]:
        """What its bridge said that it understands beside serving."""
        heard = self.heard.get(robot)
        return frozenset(heard.said.modes) if heard else frozenset()

    def extras(self, robot: RobotId) -> frozenset[str]:
        """Of the bridge, that it said its settings need: no more than it may."""
        heard = self.heard.get(robot)
        said = heard.said.extras[:MAX_EXTRAS] if heard else ()
        return frozenset(extra[:MAX_EXTRA_CHARACTERS] for extra in said)

    def pipelines(self, robot: RobotId) -> Pipelines:
        """The models that have a pipeline of their own there, as far as it said so: no more than it may."""
        heard = self.heard.get(robot)
        if heard is None or not heard.said.pipelines:
            return UNSET
        return tuple(each.name for each in heard.said.pipelines[:MAX_PLACES])

    def place(self, robot: RobotId, model: ModelName) -> Place:
        """Where a model stands there."""
        return place_of(model, self.pipelines(robot))

    def given(self, robot: RobotId, model: ModelName) -> RobotTarget | None:
        """What the robot was given last where ``model`` stands there."""
        pipelines, target = self.pipelines(robot), self.targets.get(robot)
        if pipelines is UNSET:
            return target
        return entry_at(target, place_of(model, pipelines), pipelines)

    def served(self, robot: RobotId, model: ModelName) -> Served | None:
        """What its newest target lets it serve where ``model`` stands there."""
        return served(self.given(robot, model))

    def serves(self, robot: RobotId, it: Variant) -> bool:
        """Whether these bytes are what its newest target lets it serve there."""
        now = self.served(robot, it.model.name)
        return now is not None and now.digest == it.digest

    def serves_all(self, robot: RobotId, of: Iterable[Variant]) -> bool:
        """Whether that is so of each of them."""
        return all(self.serves(robot, each) for each in of)

    def facts(self, robot: RobotEnrolled, now: datetime) -> Facts:
        """What a selector is asked of."""
        heard = self.heard.get(robot.robot_id)
        if heard is None:
            return facts_of(robot, None, None, now)
        return facts_of(robot, heard.said, heard.at, now)
