"""When a canary is condemned by comparison, and what is said of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.evidence import (
    MAX_STRATA,
    OTHER,
    OUTPUT_MEAN_SIGNAL,
    Evidence,
    Per,
    SignalGuard,
    Worse,
)
from fleetward.contracts.rollouts import RolloutPolicy
from rollout_coordinator.verdict import condemnation
from tests.unit.rollout_coordinator.cohorts import GOOD, Like, first_reason, trial

POLICY = RolloutPolicy()
EXACT = RolloutPolicy(latency_tolerance=0, confidence_tolerance=0, max_added_error_rate=0)
HOT = SignalGuard(signal="hw.temperature", tolerance=5.0)


def test_model_twice_as_slow_is_condemned_in_words() -> None:
    reason = first_reason(trial([Like(latency_ms=40)] * 5, [GOOD] * 20, POLICY))
    assert reason.startswith("inference takes 3")
    assert " ms on the new model against " in reason
    assert reason.endswith("more than 25% slower (5 canary and 20 control robots)")


def test_model_that_fails_a_fifth_of_its_inferences_is_condemned_also_on_one_robot() -> None:
    reason = first_reason(trial([Like(errors=6)], [GOOD] * 4, POLICY))
    assert reason.startswith(
        "20.0% of inferences fail on the new model against 0.0% on the control"
    )


def test_model_whose_every_inference_fails_has_no_latency_but_is_condemned() -> None:
    assert "100.0% of inferences fail" in first_reason(trial([Like(errors=30)], [GOOD] * 4, POLICY))


def test_unsure_model_is_condemned() -> None:
    reason = first_reason(trial([Like(confidence=0.5)] * 5, [GOOD] * 20, POLICY))
    assert reason.startswith("mean confidence is 0.500 on the new model against 0.900")


@pytest.mark.parametrize("like", [Like(latency_ms=5), Like(confidence=1.0), Like(latency_ms=22)])
def test_better_model_and_one_within_the_tolerance_are_not_condemned(like: Like) -> None:
    assert first_reason(trial([like] * 5, [replace(GOOD, errors=3)] * 20, POLICY)) == ""


def test_one_broken_robot_among_many_does_not_condemn_the_model() -> None:
    canary = [Like(errors=30, latency_ms=200), *[GOOD] * 9]
    assert first_reason(trial(canary, [GOOD] * 20, POLICY)) == ""


def test_without_control_there_is_no_comparison() -> None:
    assert first_reason(trial([Like(latency_ms=1000)] * 5, [], POLICY)) == ""


def test_control_of_another_site_alone_is_no_control() -> None:
    canary = [Like(latency_ms=200, site="berlin")] * 5
    assert first_reason(trial(canary, [replace(GOOD, site="oslo")] * 20, POLICY)) == ""


def test_site_whose_robots_are_slow_does_not_make_a_canary_look_slow() -> None:
    """Simpson: nearly all of the canary is at the slow site, nearly all of the control is not."""
    slow, fast = Like(latency_ms=80, site="attic"), Like(latency_ms=20, site="cellar")
    canary, control = [slow] * 9 + [fast], [slow] + [fast] * 19
    mixed = trial(canary, control, EXACT, before=canary)
    assert first_reason(mixed) == ""
    unlabelled = [replace(like, site="") for like in (*canary, *control)]
    assert first_reason(trial(unlabelled[:10], unlabelled[10:], EXACT, before=[GOOD] * 10)) != ""


def test_model_that_is_slow_on_one_hardware_only_is_condemned_there() -> None:
    nano, orin = (replace(GOOD, site="oslo", hardware=name) for name in ("nano", "orin"))
    canary = [replace(nano, latency_ms=60)] * 3 + [orin] * 17
    reason = first_reason(trial(canary, [nano] * 12 + [orin] * 68, POLICY))
    assert "on the control robots of oslo on nano" in reason
    assert "(3 canary and 12 control robots)" in reason


def test_strata_past_the_limit_share_one() -> None:
    sites = [replace(GOOD, site=f"s{number}") for number in range(MAX_STRATA + 4)]
    (*_, seen) = trial(sites, sites, POLICY).windows(2)
    assert len(seen.strata) == MAX_STRATA + 1
    (spread, *_) = seen.strata[OTHER].canary
    assert spread.robots == 4


def test_named_signal_is_judged_the_way_its_guard_says() -> None:
    policy = replace(POLICY, signals=(HOT,))
    cool, warm = (replace(GOOD, signals={"hw.temperature": value}) for value in (50.0, 70.0))
    reason = first_reason(trial([warm] * 5, [cool] * 20, policy))
    assert reason.startswith("hw.temperature is 7")
    assert " on the new model against " in reason
    assert first_reason(trial([cool] * 5, [warm] * 20, policy)) == ""
    assert first_reason(trial([warm] * 5, [cool] * 20, POLICY)) == ""


@pytest.mark.parametrize(
    ("guard", "is_bad"),
    [
        (replace(HOT, per=Per.SHARE, tolerance=0.1), True),
        (replace(HOT, per=Per.SHARE, tolerance=0.5), False),
        (replace(HOT, per=Per.DEVIATION, tolerance=3.0), True),
        (replace(HOT, per=Per.DEVIATION, tolerance=30.0), False),
        (replace(HOT, worse=Worse.LOWER), False),
        (replace(HOT, worse=Worse.EITHER), True),
    ],
    ids=str,
)
def test_tolerance_is_counted_in_what_the_guard_says(guard: SignalGuard, is_bad: bool) -> None:
    policy = replace(POLICY, signals=(guard,))
    cool, warm = (replace(GOOD, signals={"hw.temperature": value}) for value in (50.0, 70.0))
    assert bool(first_reason(trial([warm] * 5, [cool] * 20, policy))) is is_bad


@pytest.mark.parametrize("moved_to", [0.0, 20.0])
def test_output_that_drifts_either_way_is_condemned_where_the_policy_asks(moved_to: float) -> None:
    usual, moved = (replace(GOOD, signals={OUTPUT_MEAN_SIGNAL: to}) for to in (10.0, moved_to))
    drifting = trial([moved] * 5, [usual] * 20, replace(POLICY, drift_tolerance=1.0))
    assert "model.output.mean is" in first_reason(drifting)
    assert first_reason(trial([moved] * 5, [usual] * 20, POLICY)) == ""


def test_a_verdict_is_given_at_looks_only() -> None:
    looks = list(trial([Like(latency_ms=80)] * 5, [GOOD] * 20, POLICY).windows(20))
    condemned = [bool(condemnation(seen, POLICY, 2)) for seen in looks]
    assert any(condemned)
    assert all(seen.is_look for seen, bad in zip(looks, condemned, strict=True) if bad)
    assert [seen.looks for seen in looks if seen.is_look] == list(range(1, 9))


def test_alpha_is_divided_among_waves_and_looks() -> None:
    """What the first look of one wave condemns, barely, a later look or one of many waves does not."""

    def condemns(latency_ms: float, looks: int, waves: int) -> bool:
        slower = trial([Like(latency_ms=latency_ms)] * 5, [GOOD] * 20, POLICY)
        (*_, seen) = (seen for seen in slower.windows(3) if seen.is_look)
        return bool(condemnation(replace(seen, looks=looks), POLICY, waves))

    barely = next(tenths / 10 for tenths in range(250, 600) if condemns(tenths / 10, 1, 1))
    assert not condemns(barely, 1, 100)
    assert not condemns(barely, 10, 1)
    assert condemns(2 * barely, 10, 100)


def test_nothing_seen_condemns_nothing() -> None:
    assert condemnation(Evidence(is_look=True, looks=1), POLICY, 1) == ""
