"""A preview is the plan itself, with who is left out of it and why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from fleetward.contracts.control import OnConflict
from fleetward.contracts.ids import BootId, RobotId, RolloutId
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled, TargetMode
from fleetward.contracts.rollout_plans import MAX_ROBOTS_NAMED, RobotGroup, RolloutPlanned
from fleetward.contracts.rollouts import RolloutPolicy, RolloutRequested, Strategy
from fleetward.contracts.surroundings import NOTHING_AROUND, SiteRoom, Surroundings
from rollout_coordinator.conflicts import MAX_WRITES_TO_SUPERSEDE, to_supersede
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.fleet import Fleet, Heard
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import previewed
from rollout_coordinator.site_plan import check_sites
from tests.unit.rollout_coordinator.scenes import ELSEWHERE, NEW, NEW_MODEL, START, started
from tests.unit.rollout_coordinator.test_plan import RECORD, fleet, request, target


def shown(
    asked: RolloutRequested, known: Fleet, around: Surroundings = NOTHING_AROUND
) -> RolloutPlanned:
    return previewed(asked, RECORD, known, START, around)


def refusal_at_start(asked: RolloutRequested, known: Fleet, around: Surroundings) -> str:
    """What the start of the same request is refused with, in the order in which it is checked."""
    try:
        plan = planned(asked, RECORD, known, START)
        check_sites(plan, around)
        to_supersede(plan, known.open_rollouts)
    except PlanRefusedError as refused:
        return str(refused)
    return ""


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


def test_one_that_begins_later_is_shown_as_it_would_begin_and_nobody_owned_now_refuses_it() -> None:
    at_night = START + timedelta(hours=8)
    known = fleet(2, {}, (replace(started(1), rollout_id=ELSEWHERE),))
    tonight = shown(replace(request(), begins_at=at_night), known)
    assert (tonight.begins_at, tonight.refusal) == (at_night, "")
    assert {robot for wave in tonight.waves for robot in wave.robots} == {"r1", "r2"}
    (owned,) = [each for each in tonight.doubtful if "belongs" in each.reason]
    assert owned == group(
        "belongs to rollout elsewhere; this one is refused if it still does by then", "r1"
    )
    at_once = shown(replace(request(), begins_at=START), known)
    assert at_once.begins_at is None
    assert "belongs to rollout elsewhere" in at_once.refusal


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
    ("room", "reason"),
    [
        (SiteRoom(), ""),
        (SiteRoom(closed="it is night in oslo", opens_at=START), ""),
        (SiteRoom(closed="oslo never opens"), "oslo never opens: `fleetward site set oslo"),
        (SiteRoom(floor=1, robots=2), ""),
        (SiteRoom(floor=2, robots=2), "site oslo must keep 2 of its 2 robots in service"),
    ],
)
def test_a_preview_promises_of_a_site_what_the_start_keeps(room: SiteRoom, reason: str) -> None:
    targets = {RobotId(name): target(name) for name in ("r1", "r2")}
    known = of_sites(fleet(2, targets), "oslo", "oslo")
    around = Surroundings(sites={"oslo": room})
    preview = shown(request(), known, around)
    assert preview.refusal == refusal_at_start(request(), known, around)
    assert reason in preview.refusal
    assert bool(preview.refusal) is bool(reason)
    assert bool(preview.waves) is not bool(reason)


def test_a_preview_refuses_to_take_over_from_more_rollouts_than_one_write_can_tell() -> None:
    owners = tuple(
        replace(started(1), rollout_id=RolloutId(f"n-{number}"))
        for number in range(MAX_WRITES_TO_SUPERSEDE // 3 + 1)
    )
    asked = request(policy=RolloutPolicy(on_conflict=OnConflict.SUPERSEDE))
    known = fleet(1, {}, owners)
    preview = shown(asked, known)
    assert preview.refusal.startswith(f"{len(owners)} other rollouts would lose robots to it")
    assert preview.refusal == refusal_at_start(asked, known, NOTHING_AROUND)


@pytest.mark.parametrize(
    ("policy", "then"),
    [(OnConflict.WAIT, "waits for it"), (OnConflict.SUPERSEDE, "takes it over")],
)
def test_a_preview_says_who_belongs_to_another_rollout_and_what_becomes_of_that(
    policy: OnConflict, then: str
) -> None:
    owner = replace(started(1), rollout_id=ELSEWHERE)
    preview = shown(request(policy=RolloutPolicy(on_conflict=policy)), fleet(1, {}, (owner,)))
    assert group(f"belongs to rollout elsewhere; this one {then}", "r1") in preview.doubtful


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
