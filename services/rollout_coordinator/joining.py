"""Robots that match a continuous rollout after it began: they join its last wave, at the plan's rate.

Nobody joins while the rollout is paused, taken back, or waits at a gate: what people agreed to are the
robots they saw. A joiner waits like everybody else in its wave: floors, windows and the places of a
rolling rollout bind it, and it counts in both thresholds once it is its wave's turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.fleet_facts import is_online
from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import models
from fleetward.contracts.ownership import owners
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.rollout_events import RobotsJoined
from fleetward.contracts.rollouts import (
    MAX_ROBOTS_PER_ROLLOUT,
    RobotProgress,
    Rollout,
    RolloutState,
)
from rollout_coordinator.choosing import choice_of, given_by
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.plan import matching
from rollout_coordinator.standing import standing_with
from rollout_coordinator.step import Step
from rollout_coordinator.wave_plan import cohort_order


class RobotsMatched(Struct, frozen=True):
    """Robots that a continuous rollout's selector names by now, each as it stands before it joins."""

    robots: Mapping[RobotId, RobotProgress]


def takes_joiners(rollout: Rollout) -> bool:
    """Whether robots may join it now."""
    return (
        rollout.is_continuous and rollout.state is RolloutState.RUNNING and not rollout.checkpoint
    )


def candidates(rollout: Rollout, fleet: Fleet, now: datetime) -> tuple[RobotId, ...]:
    """Who matches, is heard, and belongs to no open rollout there: whoever is away joins once it is back."""
    owned = owners(fleet.open_rollouts)
    found: list[RobotId] = []
    for each in matching(rollout.selector, fleet, now):
        heard = fleet.heard.get(each.robot_id)
        is_here = is_online(each, heard.at if heard else None, now)
        held = [(each.robot_id, fleet.place(each.robot_id, name)) for name in models(rollout)]
        is_free = not any(place in owned for place in held)
        if is_here and is_free and each.robot_id not in rollout.robots:
            found.append(each.robot_id)
    return tuple(found)


def matched(
    rollout: Rollout,
    names: tuple[RobotId, ...],
    fleet: Fleet,
    record: ModelRecord | None = None,
) -> RobotsMatched:
    """Those of the candidates that one artifact fits and that do not serve it already.

    ``fleet`` has their targets; ``record`` is the bridge's, of whose releases it asks more.
    """
    among, given = set(names), given_by(rollout, record)
    robots = [robot for robot in fleet.robots if robot.robot_id in among]
    choice = choice_of(given, robots, fleet)
    behind = {
        robot: it
        for robot, it in choice.of.items()
        if not fleet.serves_all(robot, choice.every(robot))
    }
    return RobotsMatched(standing_with(given, behind, choice, fleet))


def joined(rollout: Rollout, fact: RobotsMatched, now: datetime) -> Step:
    """As many as the rate lets in join the last wave, the same ones first every time."""
    new = sorted((robot for robot in fact.robots if robot not in rollout.robots), key=cohort_order)
    chosen = tuple(new[: _places(rollout, now)]) if takes_joiners(rollout) else ()
    if not chosen:
        return Step(rollout=rollout)
    grown = replace(
        rollout,
        waves=(*rollout.waves[:-1], (*rollout.waves[-1], *chosen)),
        robots={**rollout.robots, **{robot: fact.robots[robot] for robot in chosen}},
        joined_at=now,
        is_promoted=False,
        plan="",
        baking_since=None if rollout.wave + 1 == len(rollout.waves) else rollout.baking_since,
    )
    announced = RobotsJoined(rollout_id=rollout.rollout_id, robots=chosen, joined_at=now)
    return Step(rollout=grown, events=(announced,))


def _places(rollout: Rollout, now: datetime) -> int:
    """What the rate lets in since somebody joined last, and no more than in one minute."""
    rate = rollout.policy.joiners_per_minute
    since_s = (now - (rollout.joined_at or rollout.started_at)).total_seconds()
    places = min(math.floor(since_s * rate / 60), math.ceil(rate))
    return max(0, min(places, MAX_ROBOTS_PER_ROLLOUT - len(rollout.robots)))
