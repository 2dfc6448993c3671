"""A preview is the plan itself, with who is left out of it and why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled, TargetMode
from fleetward.contracts.rollout_plans import MAX_ROBOTS_NAMED, RobotGroup, RolloutPlanned
from fleetward.contracts.rollouts import RolloutPolicy, RolloutRequested, Strategy
from rollout_coordinator.plan import Fleet, Heard, planned
from rollout_coordinator.preview import previewed
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, NEW, NEW_MODEL, START, started
from tests.unit.rollout_coordinator.test_plan import RECORD, fleet, request, target


def shown(asked: RolloutRequested, known: Fleet) -> RolloutPlanned:
    return previewed(asked, RECORD, known, START)


def group(reason: str, *named: str) -> RobotGroup:
    return RobotGroup(reason=reason, robots=len(named), named=tuple(map(RobotId, named)))


def heard(robot: str, *modes: TargetMode, silent_s: float = 0.0) -> Heard:
    said = RobotCheckedIn(
        robot_id=RobotId(robot), boot_id=BootId("b"), sequence=1, modes=modes, checked_in_at=START
    )
    return Heard(said, START - timedelta(seconds=silent_s))


def of_sites(known: Fleet, *sites: str) -> Fleet:
    robots = tuple(
        replace(each, labels={"site": site}) if site else each
        for each, site in zip(known.robots, sites, strict=True)
    )
    return replace(known, robots=robots)


@given(
    some.integers(1, 40),
    some.sampled_from(list(Strategy)),
    some.lists(some.integers(1, 40), unique=True).map(sorted),
    some.sets(some.integers(1, 40)),
)
def test_a_preview_shows_the_very_waves_that_are_planned(
    size: int, strategy: Strategy, counts: list[int], ahead: set[int]
) -> None:
    targets = {RobotId(f"r{number}"): target(f"r{number}") for number in range(1, size + 1)}
    targets |= {robot: target(robot, NEW) for robot in targets if int(robot[1:]) in ahead}
    able = {robot: heard(robot, TargetMode.STAGE, TargetMode.SHADOW) for robot in targets}
    known = replace(fleet(size, targets), heard=able)
    asked = replace(request(policy=RolloutPolicy(wave_counts=tuple(counts))), strategy=strategy)
    preview = shown(asked, known)
    if preview.refusal:
        assert not preview.waves
        return
    assert [wave.robots for wave in preview.waves] == list(
        planned(asked, RECORD, known, START).waves
    )
    reached = sum(len(wave.robots) for wave in preview.waves)
    assert reached + sum(each.robots for each in preview.left_out) == preview.selected == size


def test_who_is_left_out_and_what_is_doubtful_is_said_with_the_reason() -> None:
    known = fleet(4, {RobotId("r1"): target("r1", NEW), RobotId("r2"): target("r2")})
    known = replace(
        known, heard={RobotId("r2"): heard("r2"), RobotId("r3"): heard("r3", silent_s=60)}
    )
    preview = shown(request(selector="robot in (r1, r2, r3)"), of_sites(known, "", "oslo", "", ""))

    assert (preview.enrolled, preview.selected) == (4, 3)
    assert (preview.model, preview.digest, preview.refusal) == (NEW_MODEL, NEW, "")
    assert preview.left_out == (group("was already given detector:1", "r1"),)
    assert preview.doubtful == (
        group("has nothing to return to; a revert leaves it what it has", "r3"),
        group("silent now; counts as unknown 120 s after its turn", "r3"),
    )
    assert {site: n for wave in preview.waves for site, n in wave.sites.items()} == {
        "oslo": 1,
        "": 1,
    }


def test_a_refused_request_shows_the_reason_and_who_stands_in_the_way() -> None:
    owner = replace(started(1, 1), rollout_id=ELSEWHERE)
    owned = shown(request(), fleet(3, {}, (owner,)))
    assert owned.refusal.startswith("r1 belongs to rollout elsewhere")
    assert owned.left_out == (group("belongs to rollout elsewhere, which is running", "r1", "r2"),)
    assert owned.waves == ()

    unable = shown(replace(request(), strategy=Strategy.BLUE_GREEN), fleet(2))
    assert "did not say that its bridge can stage" in unable.refusal
    assert unable.left_out == (
        group("its bridge did not say that it can stage a model", "r1", "r2"),
    )


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request(selector="site=mars"), "matches none of 3 robots"),
        (request(selector="site=="), "not valid at column 6"),
        (request("detector:9"), "has no version '9'"),
        (request(policy=RolloutPolicy(bake_s=-1)), "policy bake_s is -1"),
    ],
)
def test_a_request_that_cannot_become_a_plan_is_refused_in_the_same_words(
    asked: RolloutRequested, reason: str
) -> None:
    preview = shown(asked, fleet(3))
    assert reason in preview.refusal
    assert preview.waves == ()


def test_a_group_of_many_names_a_few_and_counts_all() -> None:
    robots = tuple(
        RobotEnrolled(robot_id=RobotId(f"r{number:03}"), enrolled_at=START)
        for number in range(MAX_ROBOTS_NAMED + 5)
    )
    (doubt, _) = shown(request(), Fleet(robots, {}, ())).doubtful
    assert doubt.robots == MAX_ROBOTS_NAMED + 5
    assert len(doubt.named) == MAX_ROBOTS_NAMED
    assert doubt.named[0] == "r000"
