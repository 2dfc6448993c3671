"""Robots of one rollout are each given the variant that fits their labels, and no other."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.control import ControlAction
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.ids import Digest, ModelRef, RobotId, Version
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, RolloutState, Strategy
from fleetward.contracts.variants import digests, wanted
from rollout_coordinator.advance import begun
from rollout_coordinator.errors import PlanRefusedError
from rollout_coordinator.excluded import excluded
from rollout_coordinator.fleet import Fleet
from rollout_coordinator.gates import plan_of
from rollout_coordinator.joining import joined, matched
from rollout_coordinator.plan import planned
from rollout_coordinator.preview import previewed
from rollout_coordinator.recall import recalled
from testkit.telemetry import digest_of
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.cohorts import Like, first_reason, trial
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    OLD,
    START,
    activated,
    after,
    at,
    told,
)
from tests.unit.rollout_coordinator.test_plan import RECORD, request, target, version
from tests.unit.rollout_coordinator.variant_scenes import NEW_TOO, VARIANTS, with_variants

PLAIN = digest_of("d")
R1, R2, R3 = (RobotId(f"r{number}") for number in (1, 2, 3))


def artifact(name: str, digest: Digest, fits: str = "") -> ModelVersion:
    plain = version(name, digest)
    return replace(plain, manifest=replace(plain.manifest, fits=fits))


def record(*further: ModelVersion) -> ModelRecord:
    versions = (
        version("1", OLD),
        artifact("2+orin", NEW, "hw=orin"),
        artifact("2+thor", NEW_TOO, "hw=thor"),
    )
    return ModelRecord(
        name=scenes.OLD_MODEL.name,
        versions=(*versions, *further),
        aliases={"stable": Version("2")},  # type: ignore[dict-item]  # a literal alias
    )


def labelled(**hardware: str) -> Fleet:
    robots = tuple(
        RobotEnrolled(robot_id=RobotId(robot), labels={"hw": hw}, enrolled_at=START)
        for robot, hw in hardware.items()
    )
    targets = {robot.robot_id: target(robot.robot_id) for robot in robots}
    return Fleet(robots=robots, targets=targets, open_rollouts=())


def given(rollout: Rollout) -> dict[str, Digest]:
    return {robot: wanted(rollout, held).digest for robot, held in rollout.robots.items()}


@pytest.mark.parametrize("model", ["detector:2", "detector@stable"])
def test_each_robot_is_planned_for_the_variant_of_its_labels(model: str) -> None:
    rollout = planned(request(model), record(), labelled(r1="orin", r2="thor", r3="orin"), START)
    assert given(rollout) == {"r1": NEW, "r2": NEW_TOO, "r3": NEW}
    assert rollout.model == scenes.NEW_MODEL
    assert rollout.digest not in {NEW, NEW_TOO}
    assert decode(encode(rollout), Rollout) == rollout


def test_the_plain_version_is_for_robots_that_no_variant_fits() -> None:
    published = record(artifact("2", PLAIN))
    rollout = planned(request(), published, labelled(r1="orin", r2="x86"), START)
    assert given(rollout) == {"r1": NEW, "r2": PLAIN}


def test_a_robot_is_excluded_that_no_variant_fits_or_that_two_fit_and_the_plan_says_why() -> None:
    published = record(artifact("2+wide", PLAIN, "hw=thor and not tag=narrow"))
    known, asked = labelled(r1="orin", r2="thor", r3="x86"), request()
    rollout = planned(asked, published, known, START)
    assert given(rollout) == {"r1": NEW}
    reasons = excluded(rollout, asked, published, known, START)
    assert reasons[R2] == (
        "more than one variant fits its labels: detector:2+thor is for hw=thor, "
        "detector:2+wide is for hw=thor and not tag=narrow"
    )
    assert reasons[R3].startswith("no variant fits its labels: detector:2+orin is for hw=orin, ")
    shown = previewed(asked, published, known, START)
    assert {group.named: group.reason for group in shown.left_out} == {
        (R2,): reasons[R2],
        (R3,): reasons[R3],
    }
    assert [wave.given for wave in shown.waves] == [(0,)]
    assert shown.variants == rollout.variants


def test_a_rollout_that_fits_nobody_is_refused_with_the_reason() -> None:
    nobody = labelled(r3="x86")
    with pytest.raises(PlanRefusedError, match="none of 1 selected robot can be given detector:2"):
        planned(request(), record(), nobody, START)
    shown = previewed(request(), record(), nobody, START)
    assert shown.left_out[0].named == (R3,)


@pytest.mark.parametrize("counts", [(1,), (1, 3), (4,)])
def test_the_canary_tries_every_variant(counts: tuple[int, ...]) -> None:
    kinds = {f"r{number}": "thor" if number == 9 else "orin" for number in range(1, 13)}
    asked = request(policy=RolloutPolicy(wave_counts=counts))
    rollout = planned(asked, record(), labelled(**kinds), START)
    first = rollout.waves[0]
    assert {wanted(rollout, rollout.robots[robot]).digest for robot in first} == {NEW, NEW_TOO}
    assert len(first) == max(2, counts[0])
    assert sorted(robot for wave in rollout.waves for robot in wave) == sorted(kinds)


def test_halves_of_an_a_b_rollout_have_the_same_share_of_each_variant() -> None:
    kinds = {f"r{number}": "thor" if number <= 4 else "orin" for number in range(1, 13)}
    asked = replace(request(), strategy=Strategy.A_B)
    rollout = planned(asked, record(), labelled(**kinds), START)
    assert Counter(kinds[robot] for robot in rollout.waves[0]) == {"orin": 4, "thor": 2}


def test_a_variant_asked_for_by_its_own_name_goes_to_its_robots_alone() -> None:
    rollout = planned(request("detector:2+thor"), record(), labelled(r1="orin", r2="thor"), START)
    assert given(rollout) == {"r2": NEW_TOO}


def test_a_robot_is_up_to_date_by_its_own_variant() -> None:
    known = labelled(r1="orin", r2="thor")
    held = {R1: replace(known.targets[R1], digest=NEW), R2: replace(known.targets[R2], digest=NEW)}
    rollout = planned(request(), record(), replace(known, targets=held), START)
    assert given(rollout) == {"r2": NEW_TOO}


def test_a_rollout_without_variants_costs_no_byte_and_is_stored_as_ever() -> None:
    plain = planned(request(), RECORD, labelled(r1="orin"), START, "trace")
    assert b"variant" not in encode(plain)
    stored = decode(encode(plain), Rollout)
    assert stored.robots[R1].variant is UNSET
    assert given(stored) == {"r1": NEW}


def test_an_approval_is_of_who_is_given_which_variant() -> None:
    plan = with_variants(scenes.planned(1, 1))
    swapped = {
        robot: replace(held, variant=1 - held.variant)
        for robot, held in plan.robots.items()
        if held.variant is not UNSET
    }
    assert plan_of(plan) != plan_of(replace(plan, robots=swapped))


def test_a_proof_of_another_variant_is_none() -> None:
    rollout = begun(with_variants(scenes.planned(1, 1)), START).rollout
    assert scenes.phase(after(rollout, (activated(1, digest=NEW), 1)), 1) is RobotPhase.PROVED
    wrong = after(rollout, (activated(1, digest=NEW_TOO), 1))
    assert "not the digest it was given" in wrong.robots[scenes.robot(1)].reason


def test_each_robot_goes_back_to_what_it_served_itself() -> None:
    plan = with_variants(scenes.planned(2))
    before = {
        robot: replace(held, previous=ModelRef(scenes.OLD_MODEL.name, Version(f"1+{robot}")))
        for robot, held in plan.robots.items()
    }
    rollout = begun(replace(plan, robots=before), START).rollout
    aborted = told(rollout, scenes.asked(ControlAction.ABORT), 1)
    assert {order.robot_id: order.model.version for order in aborted.targets} == {
        "r1": "1+r1",
        "r2": "1+r2",
    }


@pytest.mark.parametrize("digest", [NEW, NEW_TOO])
def test_the_withdrawal_of_one_variant_takes_the_rollout_back(digest: Digest) -> None:
    rollout = begun(with_variants(scenes.planned(2)), START).rollout
    halted = told(rollout, scenes.withdrawn(digest), 1).rollout
    assert halted.state is RolloutState.REVERTING
    named = next(variant.model for variant in VARIANTS if variant.digest == digest)
    assert halted.reason == f"{named} was withdrawn: sees ghosts"
    fact = recalled(rollout, {digest: "sees ghosts"}, START)
    assert fact is not None
    assert (fact.digest, fact.version) == (digest, named.version)


def test_a_variant_that_nobody_here_is_given_binds_nobody() -> None:
    rollout = planned(request(), record(), labelled(r1="orin"), START)
    assert digests(rollout) == {NEW}
    thor_gone = replace(labelled(r1="orin"), withdrawn={NEW_TOO: "ghosts"})
    assert given(planned(request(), record(), thor_gone, START)) == {"r1": NEW}
    both = replace(labelled(r1="orin", r2="thor"), withdrawn={NEW_TOO: "ghosts"})
    with pytest.raises(PlanRefusedError, match=r"detector:2\+thor was withdrawn: ghosts"):
        planned(request(), record(), both, START)


def test_who_joins_is_given_the_variant_of_its_labels_then() -> None:
    asked = replace(request(), is_continuous=True)
    rollout = planned(asked, record(), labelled(r1="orin"), START)
    came = labelled(r1="orin", r2="thor", r3="x86")
    found = matched(rollout, (R2, R3), came)
    assert set(found.robots) == {R2}
    assert given(joined(rollout, found, at(60)).rollout) == {"r1": NEW, "r2": NEW_TOO}


def test_robots_of_different_variants_are_compared_apart_and_each_on_its_own_bytes() -> None:
    plan = with_variants(scenes.planned(4, 1))
    rollout = begun(plan, START).rollout
    seen = after(
        rollout,
        *((scenes.summary(number, 1, NEW), 2) for number in (1, 2, 3, 4)),
        *((scenes.summary(number, 2, NEW_TOO), 3) for number in (1, 2, 3, 4)),
    ).evidence
    assert seen.canary.inferences == 4 * 20
    canaries = {key: stratum.canary[0].robots for key, stratum in seen.strata.items()}
    assert canaries == {"//0": 2, "//1": 2}


def test_one_variant_that_does_worse_condemns_the_rollout() -> None:
    orin, thor = Like(hardware="orin"), Like(hardware="thor")
    slow = replace(thor, latency_ms=60.0)
    fine = trial([orin, thor] * 5, [orin, thor] * 5, RolloutPolicy())
    bad = trial([orin, slow] * 5, [orin, thor] * 5, RolloutPolicy())
    assert not first_reason(replace(fine, rollout=with_variants(fine.rollout)))
    assert "slower" in first_reason(replace(bad, rollout=with_variants(bad.rollout)))


def test_an_alert_about_another_variant_is_none_about_the_robot() -> None:
    quiet = Gate(name="quiet", kind=GateKind.ALERT_FREE, before=Checkpoint.END, alert_free_s=60)
    policy = replace(scenes.POLICY, gates=(quiet,))
    rollout = begun(with_variants(scenes.planned(2, policy=policy)), START).rollout
    assert told(rollout, scenes.alert(1, digest=NEW_TOO), 1).rollout is rollout
    own = told(rollout, scenes.alert(1, digest=NEW), 1).rollout
    assert scenes.phase(own, 1) is not RobotPhase.TARGETED
    assert own.alerted_at == at(1)
