"""From a request to waves of robots, or a refusal that says what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from fleetward.contracts.errors import MalformedError
from fleetward.contracts.evidence import SignalGuard
from fleetward.contracts.ids import Digest, RobotId, RolloutId, Version, model_selector
from fleetward.contracts.registry import ModelManifest, ModelRecord, ModelVersion, SignedManifest
from fleetward.contracts.robots import RobotEnrolled, RobotTarget
from fleetward.contracts.rollouts import (
    MAX_OPEN_ROLLOUTS,
    Rollout,
    RolloutPolicy,
    RolloutRequested,
    Strategy,
)
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.plan import planned
from rollout_coordinator.wave_plan import wave_sizes
from tests.unit.rollout_coordinator.scenes import (
    ELSEWHERE,
    HERE,
    NEW,
    NEW_MODEL,
    OLD,
    OLD_MODEL,
    START,
    started,
)

HEAT = SignalGuard(signal="hw.temperature", tolerance=5.0)


def version(name: str, digest: Digest) -> ModelVersion:
    manifest = ModelManifest(
        model=replace(OLD_MODEL, version=Version(name)),
        digest=digest,
        size_bytes=1,
        format="onnx",
        opset=17,
        inputs=(),
        outputs=(),
        release=1,
        published_at=START,
    )
    return ModelVersion(
        manifest=manifest, signed=SignedManifest(payload=b"", key_id="", signature=b"")
    )


RECORD = ModelRecord(
    name=OLD_MODEL.name,
    versions=(version("1", OLD), version("2", NEW)),
    aliases={"stable": Version("1")},  # type: ignore[dict-item]  # a literal alias
)


def request(
    model: str = "detector:2", selector: str = "all", policy: RolloutPolicy | None = None
) -> RolloutRequested:
    return RolloutRequested(
        rollout_id=HERE,
        model=model_selector(model),
        selector=selector,
        policy=policy or RolloutPolicy(),
        requested_at=START,
    )


def fleet(
    size: int = 5,
    targets: Mapping[RobotId, RobotTarget] | None = None,
    open_rollouts: tuple[Rollout, ...] = (),
) -> Fleet:
    robots = tuple(
        RobotEnrolled(robot_id=RobotId(f"r{number}"), enrolled_at=START)
        for number in range(1, size + 1)
    )
    return Fleet(robots=robots, targets=targets or {}, open_rollouts=open_rollouts)


def target(robot: str, digest: Digest = OLD, rollout: RolloutId = ELSEWHERE) -> RobotTarget:
    return RobotTarget(
        robot_id=RobotId(robot),
        generation=7,
        rollout_id=rollout,
        model=OLD_MODEL,
        digest=digest,
        issued_at=START,
    )


def test_plan_knows_what_each_robot_returns_to() -> None:
    rollout = planned(request(), RECORD, fleet(2, {RobotId("r1"): target("r1")}), START)
    known, fresh = rollout.robots[RobotId("r1")], rollout.robots[RobotId("r2")]
    assert (known.generation, known.previous_digest) == (7, OLD)
    assert (fresh.generation, fresh.previous_digest) == (0, None)
    assert (rollout.model, rollout.digest) == (NEW_MODEL, NEW)


def test_withdrawn_bytes_are_neither_planned_nor_returned_to() -> None:
    known = fleet(2, {RobotId("r1"): target("r1")})
    gone = replace(known, targets={}, withdrawn={NEW: "sees ghosts"})
    with pytest.raises(PlanRefusedError, match="was withdrawn: sees ghosts"):
        planned(request(), RECORD, gone, START)

    left = replace(known, withdrawn={OLD: "sees ghosts"})
    rollout = planned(request(), RECORD, left, START)
    robot = rollout.robots[RobotId("r1")]
    assert (robot.generation, robot.previous, robot.previous_digest) == (7, None, None)


def test_plan_knows_each_robots_site_and_hardware() -> None:
    labels = {"site": "oslo", "hw": "orin-nx", "index": "1"}
    first, *others = fleet(2).robots
    labelled = replace(fleet(2), robots=(replace(first, labels=labels), *others))
    robots = planned(request(), RECORD, labelled, START).robots
    assert (robots[RobotId("r1")].site, robots[RobotId("r1")].hardware) == ("oslo", "orin-nx")
    assert (robots[RobotId("r2")].site, robots[RobotId("r2")].hardware) == ("", "")


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        ((HEAT,) * 2, "hw.temperature is judged already: name it once"),
        ((replace(HEAT, signal="model.output.mean"),), "drift of the output by drift_tolerance"),
        ((replace(HEAT, signal="no name"),), "'no name' is no signal's name"),
        (
            tuple(replace(HEAT, signal=f"s{n}") for n in range(5)),
            "5 signals are named, more than 4",
        ),
    ],
)
def test_signals_that_tell_nothing_new_are_refused(
    signals: tuple[SignalGuard, ...], said: str
) -> None:
    assert said in refusal(request(policy=RolloutPolicy(signals=signals)), RECORD, fleet())


def test_alias_names_the_version_it_points_to() -> None:
    assert planned(request("detector@stable"), RECORD, fleet(), START).digest == OLD


def test_all_at_once_is_one_wave() -> None:
    wanted = replace(request(), strategy=Strategy.ALL_AT_ONCE)
    assert [len(wave) for wave in planned(wanted, RECORD, fleet(), START).waves] == [5]


def test_robots_that_have_the_model_are_left_out() -> None:
    rollout = planned(request(), RECORD, fleet(3, {RobotId("r2"): target("r2", NEW)}), START)
    assert set(rollout.robots) == {"r1", "r3"}


def test_same_robots_go_first_whatever_order_the_fleet_is_read_in() -> None:
    there = fleet(20)
    back = Fleet(tuple(reversed(there.robots)), {}, ())
    plans = [planned(request(), RECORD, each, START) for each in (there, back)]
    assert plans[0].waves == plans[1].waves


def test_canary_is_not_chosen_by_name() -> None:
    (canary, *_) = planned(request(), RECORD, fleet(20), START).waves
    assert canary != tuple(f"r{number}" for number in range(1, len(canary) + 1))


def refusal(wanted: RolloutRequested, record: ModelRecord | None, seen: Fleet) -> str:
    with pytest.raises((PlanRefusedError, MalformedError)) as caught:
        planned(wanted, record, seen, START)
    return str(caught.value)


def test_unknown_model_is_refused() -> None:
    message = refusal(request(), None, fleet())
    assert "no model is called 'detector'" in message
    assert "fleetward model push" in message


def test_unknown_version_is_refused_with_those_that_exist() -> None:
    message = refusal(request("detector:9"), RECORD, fleet())
    assert message == "model 'detector' has no version '9'; the newest are: 1, 2."


def test_unknown_alias_is_refused_with_those_that_exist() -> None:
    assert "its aliases are: stable" in refusal(request("detector@next"), RECORD, fleet())


def test_bad_selector_is_refused() -> None:
    assert "column 6" in refusal(request(selector="site="), RECORD, fleet())


def test_empty_selection_is_refused() -> None:
    message = refusal(request(selector="site=mars"), RECORD, fleet())
    assert message.startswith("the selector 'site=mars' matches none of 5 robots")


def test_too_many_robots_are_refused() -> None:
    assert "more than the 10000 of one rollout" in refusal(request(), RECORD, fleet(10_001))


def test_too_many_open_rollouts_are_refused() -> None:
    many = tuple(
        replace(started(1), rollout_id=RolloutId(f"other-{number}"), robots={})
        for number in range(MAX_OPEN_ROLLOUTS)
    )
    assert "1000 rollouts are open" in refusal(request(), RECORD, fleet(5, {}, many))
    assert planned(request(), RECORD, fleet(5, {}, many[1:]), START).waves


def test_nothing_to_do_is_refused_by_the_name_the_robots_know() -> None:
    same_bytes_as_version_1 = {RobotId("r1"): target("r1", NEW)}
    message = refusal(request(), RECORD, fleet(1, same_bytes_as_version_1))
    assert message.startswith(
        "all 1 selected robots were already given detector:1, whose bytes are those of detector:2"
    )


def test_nothing_to_do_names_a_model_once() -> None:
    same = {RobotId("r1"): replace(target("r1", NEW), model=NEW_MODEL)}
    message = refusal(request(), RECORD, fleet(1, same))
    assert message.startswith("all 1 selected robots were already given detector:2 (sha256:")


def test_what_was_given_already_is_given_anew_to_who_asks_for_it() -> None:
    """A rollout that every robot refused, for its byte cap say, left them nothing to go back to."""
    given = fleet(1, {RobotId("r1"): replace(target("r1", NEW), model=NEW_MODEL)})
    assert refusal(request(), RECORD, given).endswith("With --again it is given to them anew.")
    assert set(planned(replace(request(), again=True), RECORD, given, START).robots) == {"r1"}


def test_robot_of_another_open_rollout_is_refused_also_while_it_waits_for_its_wave() -> None:
    owner = replace(started(1, 2), rollout_id=ELSEWHERE)
    message = refusal(request(selector="robot=r3"), RECORD, fleet(5, {}, (owner,)))
    assert message.startswith("r3 belongs to rollout elsewhere, which is running.")
    assert "fleetward rollout abort elsewhere" in message


def test_robots_of_nobody_are_free_while_another_rollout_runs() -> None:
    owner = replace(started(1, 2), rollout_id=ELSEWHERE)
    wanted = request(selector="robot in (r4, r5)")
    assert set(planned(wanted, RECORD, fleet(5, {}, (owner,)), START).robots) == {"r4", "r5"}


@pytest.mark.parametrize(
    "policy",
    [
        RolloutPolicy(wave_percents=()),
        RolloutPolicy(wave_percents=(50,)),
        RolloutPolicy(wave_percents=(0, 100)),
        RolloutPolicy(wave_percents=(50, 50, 100)),
        RolloutPolicy(wave_percents=(100, 50)),
        RolloutPolicy(bake_s=-1),
        RolloutPolicy(bake_s=math.nan),
        RolloutPolicy(silent_after_s=0),
        RolloutPolicy(silent_after_s=math.inf),
        RolloutPolicy(min_success_percent=101),
        RolloutPolicy(max_error_percent=math.nan),
        RolloutPolicy(latency_tolerance=-0.1),
        RolloutPolicy(latency_tolerance=math.nan),
        RolloutPolicy(confidence_tolerance=2),
        RolloutPolicy(max_added_error_rate=-1),
        RolloutPolicy(alpha=0),
        RolloutPolicy(alpha=1),
        RolloutPolicy(min_inferences=0),
        RolloutPolicy(proof_inferences=0),
        RolloutPolicy(health_window_s=math.inf),
        RolloutPolicy(drift_tolerance=-1),
        RolloutPolicy(robot_spread=0),
        RolloutPolicy(signals=(replace(HEAT, tolerance=math.nan),)),
    ],
    ids=str,
)
def test_policy_that_cannot_be_judged_by_is_refused(policy: RolloutPolicy) -> None:
    message = refusal(request(policy=policy), RECORD, fleet())
    assert "it must be from" in message or "give rising numbers" in message


@given(some.integers(1, 10_000), some.sets(some.integers(1, 99), max_size=8))
def test_waves_hold_every_robot_once_and_none_is_empty(robots: int, below: set[int]) -> None:
    percents = (*sorted(below), 100)
    sizes = wave_sizes(robots, percents)
    assert sum(sizes) == robots
    assert all(sizes)
    assert len(sizes) <= len(percents)


@given(some.integers(1, 10_000))
def test_first_wave_is_no_larger_than_asked_but_for_the_one_robot_it_needs(robots: int) -> None:
    assert wave_sizes(robots, (20, 100))[0] == max(1, math.ceil(robots / 5))
