"""The parts a verdict is made of: tails, bounds, looks, and one robot's weight."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleetward.contracts.compared import ALWAYS, lone
from fleetward.contracts.evidence import CohortEvidence, Evidence, Spread, Sums
from rollout_coordinator.comparison import PRIOR_ROBOTS, combined, effect, student_tail
from rollout_coordinator.looks import is_due, share
from rollout_coordinator.rates import at_least, at_most

LATENCY = ALWAYS[0]


@pytest.mark.parametrize(
    ("t", "freedom", "tail"),
    [
        (3.365, 5, 0.01),
        (4.144, 10, 0.001),
        (4.587, 10, 0.0005),
        (3.646, 30, 0.0005),
        (1.812, 10, 0.05),
        (3.090, 100_000, 0.001),
    ],
)
def test_tail_of_students_distribution_is_that_of_the_tables(
    t: float, freedom: float, tail: float
) -> None:
    assert student_tail(t, freedom) == pytest.approx(tail, rel=0.05)
    assert student_tail(-t, freedom) == 1.0


def cohort(befores: list[float], afters: list[float]) -> Spread:
    """Robots of so many ms before and after, with 10 inferences each."""
    robots = [
        lone(LATENCY, Sums(10, 10 * before), Sums(10, 10 * after))
        for before, after in zip(befores, afters, strict=True)
    ]
    fields = Spread.__struct_fields__
    return Spread(*(sum(getattr(one, field) for one in robots) for field in fields))


def test_robots_are_compared_with_what_they_were_before() -> None:
    """The canary's robots are the slow ones; each is what it was."""
    slow, fast = [30.0, 33.0, 36.0, 39.0, 42.0], [20.0, 22.0, 24.0, 26.0, 28.0]
    seen = effect(cohort(slow, slow), cohort(fast, fast), 0.0)
    assert seen is not None
    assert seen.difference == pytest.approx(0.0, abs=1e-9)


def test_robots_that_said_nothing_before_are_compared_as_they_are() -> None:
    slow = Spread(2, 2 * math.log(40), 2 * math.log(40) ** 2)
    fast = Spread(8, 8 * math.log(20), 8 * math.log(20) ** 2)
    seen = effect(slow, fast, 0.01)
    assert seen is not None
    assert seen.difference == pytest.approx(math.log(2))
    assert seen.freedom == PRIOR_ROBOTS + 8


def test_stratum_with_one_cohort_only_has_no_effect() -> None:
    assert effect(Spread(), cohort([20.0], [20.0]), 0.01) is None
    assert effect(cohort([20.0], [20.0]), Spread(), 0.01) is None


def test_strata_together_know_more_than_one_alone() -> None:
    one = effect(cohort([20.0] * 3, [25.0] * 3), cohort([20.0] * 9, [20.0] * 9), 0.01)
    assert one is not None
    both = combined([one, one])
    assert both.difference == pytest.approx(one.difference)
    assert both.variance == pytest.approx(one.variance / 2)
    assert both.freedom == pytest.approx(2 * one.freedom)


def test_looks_together_spend_no_more_than_alpha() -> None:
    assert sum(share(look) for look in range(1, 10_000)) < 1
    assert share(1) == 0.5


def test_looks_are_as_many_as_the_logarithm_of_what_is_seen() -> None:
    inferences = CohortEvidence(inferences=1000)
    looked, looks = 0, 0
    for windows in range(1, 10_000):
        seen = Evidence(
            canary=inferences,
            control=inferences,
            windows=windows,
            control_windows=windows,
            looked_at_windows=looked,
        )
        if is_due(seen, reached=5, waiting=5, min_inferences=1):
            looked, looks = windows, looks + 1
    assert looks == 19


def test_first_look_waits_for_the_robots_that_were_given_the_model_and_for_inferences() -> None:
    some = CohortEvidence(inferences=100)
    seen = Evidence(canary=some, control=some, windows=9, control_windows=20)
    assert not is_due(seen, reached=10, waiting=20, min_inferences=50)
    assert not is_due(seen, reached=9, waiting=21, min_inferences=50)
    assert is_due(seen, reached=9, waiting=20, min_inferences=100)
    assert not is_due(seen, reached=9, waiting=20, min_inferences=101)


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5])
def test_bounds_of_a_rate_hold_at_all_looks_at_once(rate: float) -> None:
    chance, alpha, missed = np.random.default_rng(5), 0.1, 0
    for failures in chance.binomial(10, rate, (400, 60)).cumsum(1):
        bounds = [
            (at_least(seen, 10 * look, alpha / 2), at_most(seen, 10 * look, alpha / 2))
            for look, seen in enumerate(failures.tolist(), 1)
        ]
        missed += any(not lowest <= rate <= highest for lowest, highest in bounds)
    assert missed <= alpha * 400


def test_no_failure_in_few_trials_refutes_little() -> None:
    assert at_most(0, 0, 0.01) == 1.0
    assert at_least(0, 50, 0.01) == 0.0
    assert 0.1 < at_most(0, 50, 0.01) < 0.25
    assert at_least(50, 50, 0.01) > 0.75
