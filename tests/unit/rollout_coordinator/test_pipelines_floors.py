"""Floors count robots, whichever of their models changes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.ids import RobotId, SiteName
from fleetward.contracts.rollouts import (
    RobotProgress,
    Rollout,
)
from fleetward.contracts.sites import SitePolicy
from fleetward.contracts.surroundings import SiteRoom, Surroundings
from rollout_coordinator.capacity import LastSign, SiteRobots, room_at
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.floors import FloorPlaces
from rollout_coordinator.site_plan import check_sites
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.pipeline_scenes import (
    R1,
    THERE,
    detecting,
    segmenting,
)
from tests.unit.rollout_coordinator.scenes import HERE, START


def at_berlin(plan: Rollout) -> Rollout:
    robots = {robot: replace(held, site="berlin") for robot, held in plan.robots.items()}
    return replace(plan, robots=robots)


def room(**changes: object) -> Surroundings:
    fixed = {"floor": 1, "robots": 1, "in_service": frozenset({R1})}
    return Surroundings(sites={"berlin": SiteRoom(**{**fixed, **changes})})  # type: ignore[arg-type]  # a test names its own


def test_a_robot_that_serves_one_model_leaves_service_for_the_first_of_another() -> None:
    plan = at_berlin(segmenting())
    first = replace(plan.robots[R1], generation=0, previous=None, previous_digest=None)
    plan = replace(plan, robots={R1: first})
    assert "must keep 1 of its 1 robot" in FloorPlaces(plan, room()).reason_against(R1)
    with pytest.raises(PlanRefusedError, match="none may be given another model"):
        check_sites(plan, room())
    idle = room(idle=frozenset({R1}), in_service=frozenset())
    assert FloorPlaces(plan, idle).reason_against(R1) == ""
    check_sites(plan, idle)
    fresh = at_berlin(replace(detecting(alone=True), robots={R1: RobotProgress()}))
    assert FloorPlaces(fresh, room()).reason_against(R1) == ""


def test_a_robot_that_changes_one_model_is_away_for_the_rollout_of_the_other() -> None:
    r2, policy = scenes.robot(2), SitePolicy(site=SiteName("berlin"), floor=1)
    both = {robot: LastSign(START, serves=True) for robot in (R1, r2)}
    known = SiteRobots(dict.fromkeys(both, 3.0), both)
    progress = replace(segmenting().robots[R1], site="berlin")
    there = replace(segmenting(), robots={R1: progress, r2: progress})

    def places(away: tuple[RobotId, ...]) -> FloorPlaces:
        found = room_at(policy, known, {HERE: away}, THERE, START)
        return FloorPlaces(there, Surroundings(sites={"berlin": found}))

    while_it_changes = places((R1,))
    for robot in (R1, r2):
        assert "must keep 1 of its 2 robots" in while_it_changes.reason_against(robot)
    afterwards = places(())
    assert afterwards.reason_against(R1) == ""
    afterwards.take(R1)
    assert "must keep 1 of its 2 robots" in afterwards.reason_against(r2)
