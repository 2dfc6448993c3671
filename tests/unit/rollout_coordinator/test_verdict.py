"""When a canary is condemned by comparison: seldom in error, soon when it is bad."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from fleetward.contracts.rollouts import CohortEvidence, Evidence, Moments, RolloutPolicy
from rollout_coordinator.verdict import TIGHTEST_AT, condemnation, radius

STRICT = RolloutPolicy(
    alpha=0.05,
    latency_tolerance=0,
    confidence_tolerance=0,
    max_added_error_rate=0,
    min_inferences=50,
)
POLICY = RolloutPolicy()
LOOKS = 60
PER_LOOK = 50
ROLLOUTS = 500


def moments(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Moments:
    return Moments(
        count=len(values), total=float(values.sum()), total_of_squares=float((values**2).sum())
    )


class Cohort:
    """Inferences as robots have them: skewed latencies, rare errors, confidences up to 1."""

    def __init__(self, chance: np.random.Generator, latency_ms: float, errors: float) -> None:
        size = LOOKS * PER_LOOK
        self._latency = latency_ms * chance.lognormal(0, 0.3, size)
        self._errors = chance.random(size) < errors
        self._confidence = chance.beta(9, 1, size)

    def seen(self, inferences: int, confidence_lost: float = 0) -> CohortEvidence:
        return CohortEvidence(
            inferences=inferences,
            errors=int(self._errors[:inferences].sum()),
            latency_ms=moments(self._latency[:inferences]),
            confidence=moments(self._confidence[:inferences] * (1 - confidence_lost)),
        )


def condemned_at(canary: Cohort, control: Cohort, policy: RolloutPolicy) -> int | None:
    """After how many inferences somebody who looks all the time condemns the canary."""
    for look in range(1, LOOKS + 1):
        inferences = look * PER_LOOK
        evidence = Evidence(canary=canary.seen(inferences), control=control.seen(inferences))
        if condemnation(evidence, policy, waves=1):
            return inferences
    return None


def test_same_model_twice_is_seldom_condemned_however_often_one_looks() -> None:
    """500 A/A rollouts, 60 looks each, no tolerance, alpha 5 %."""
    chance = np.random.default_rng(1)
    condemned = sum(
        condemned_at(Cohort(chance, 20, 0.01), Cohort(chance, 20, 0.01), STRICT) is not None
        for _ in range(ROLLOUTS)
    )
    assert condemned <= STRICT.alpha * ROLLOUTS


def test_interval_for_a_mean_holds_at_all_looks_at_once() -> None:
    """The sequence itself, not the cautious sum of six: at alpha 10 % it misses about that often.

    A boundary for one look only would miss the mean in far more than half of these.
    """
    chance = np.random.default_rng(2)
    alpha = 0.1
    missed = 0
    for _ in range(ROLLOUTS):
        values = chance.lognormal(0, 0.3, LOOKS * PER_LOOK)
        truth = math.exp(0.3**2 / 2)
        looks = (moments(values[: look * PER_LOOK]) for look in range(1, LOOKS + 1))
        missed += any(abs(seen.total / seen.count - truth) > radius(seen, alpha) for seen in looks)
    assert 0.005 * ROLLOUTS <= missed <= alpha * ROLLOUTS


def test_radius_is_that_of_the_paper() -> None:
    """Waudby-Smith et al., equation 3, with rho chosen to be tightest at TIGHTEST_AT."""
    seen, alpha = Moments(count=1000, total=0.0, total_of_squares=4000.0), 0.05
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TIGHTEST_AT)
    spread = 1000 * rho**2 + 1
    wanted = 2.0 * math.sqrt(2 * spread / (1000**2 * rho**2) * math.log(math.sqrt(spread) / alpha))
    assert radius(seen, alpha) == pytest.approx(wanted)


def test_model_twice_as_slow_is_found_within_150_inferences() -> None:
    chance = np.random.default_rng(3)
    for _ in range(50):
        found = condemned_at(Cohort(chance, 40, 0), Cohort(chance, 20, 0), POLICY)
        assert found is not None
        assert found <= 150


def test_model_that_fails_a_fifth_of_its_inferences_is_found_within_1000() -> None:
    chance = np.random.default_rng(4)
    for _ in range(50):
        found = condemned_at(Cohort(chance, 20, 0.2), Cohort(chance, 20, 0), POLICY)
        assert found is not None
        assert found <= 1000


def test_reasons_say_what_is_worse_and_by_how_much() -> None:
    chance = np.random.default_rng(5)
    good, slow, failing = Cohort(chance, 20, 0), Cohort(chance, 60, 0), Cohort(chance, 20, 0.5)
    control = good.seen(1000)
    assert "on the new model against" in verdict_of(slow.seen(1000), control)
    assert verdict_of(slow.seen(1000), control).startswith("inference takes 6")
    assert "of inferences fail on the new model" in verdict_of(failing.seen(1000), control)
    unsure = good.seen(1000, confidence_lost=0.4)
    assert verdict_of(unsure, control).startswith("mean confidence is 0.5")


def verdict_of(canary: CohortEvidence, control: CohortEvidence) -> str:
    return condemnation(Evidence(canary=canary, control=control), POLICY, waves=3)


def test_slower_within_the_tolerance_is_not_condemned() -> None:
    chance = np.random.default_rng(6)
    assert condemned_at(Cohort(chance, 22, 0), Cohort(chance, 20, 0), POLICY) is None


def test_faster_model_is_not_condemned() -> None:
    chance = np.random.default_rng(7)
    assert condemned_at(Cohort(chance, 5, 0), Cohort(chance, 20, 0.2), POLICY) is None


def test_without_control_there_is_no_comparison() -> None:
    slow = Cohort(np.random.default_rng(8), 1000, 1.0).seen(3000)
    assert verdict_of(slow, CohortEvidence()) == ""
    assert verdict_of(CohortEvidence(), slow) == ""


def test_too_few_inferences_are_no_comparison() -> None:
    chance = np.random.default_rng(9)
    slow, good = Cohort(chance, 1000, 0).seen(49), Cohort(chance, 20, 0).seen(3000)
    assert verdict_of(slow, good) == ""


def constant(latency_ms: float, inferences: int = 100) -> CohortEvidence:
    return CohortEvidence(
        inferences=inferences,
        latency_ms=Moments(
            count=inferences,
            total=latency_ms * inferences,
            total_of_squares=latency_ms**2 * inferences,
        ),
    )


def test_inferences_without_any_variance_are_compared_by_their_means() -> None:
    assert verdict_of(constant(10.0), constant(10.0)) == ""
    assert verdict_of(constant(12.5), constant(10.0)) == ""
    assert verdict_of(constant(12.6), constant(10.0)) != ""
    assert verdict_of(constant(0.0), constant(0.0)) == ""


def test_canary_whose_every_inference_fails_has_no_latency_but_is_condemned() -> None:
    failing = CohortEvidence(inferences=500, errors=500)
    assert "fail on the new model" in verdict_of(failing, constant(10.0, 500))


def test_more_waves_ask_for_more_evidence() -> None:
    seen = moments(np.random.default_rng(10).lognormal(0, 0.3, 100))
    assert radius(seen, 0.001 / 10) > radius(seen, 0.001)
    assert radius(Moments(), 0.05) == math.inf


def test_alpha_is_divided_among_the_waves() -> None:
    """A canary that one wave condemns, barely, is not yet condemned as one of ten."""
    unit = Moments(count=100, total=0.0, total_of_squares=100.0)
    between = (radius(unit, POLICY.alpha / 6) + radius(unit, POLICY.alpha / 60)) / 2
    allowed, deviation = 12.5, 2.0
    mean = allowed + between * deviation
    latency = Moments(count=100, total=100 * mean, total_of_squares=100 * (mean**2 + deviation**2))
    evidence = Evidence(canary=replace(constant(0.0), latency_ms=latency), control=constant(10.0))
    assert condemnation(evidence, POLICY, waves=1)
    assert not condemnation(evidence, POLICY, waves=10)
