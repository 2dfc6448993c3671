"""A robot takes a model back by itself only when it is clearly broken or clearly slower."""

from __future__ import annotations

from edge_bridge.converging.health import HealthBounds, Outcomes, fall_back_reason

BOUNDS = HealthBounds(
    min_inferences=10,
    min_latency_inferences=10,
    max_error_share=0.2,
    latency_factor=3,
    latency_slack_s=0.1,
)


def outcomes(latency_s: float, good: int, failed: int = 0) -> Outcomes:
    counted = Outcomes(BOUNDS)
    for _ in range(good):
        counted.count(latency_s, None)
    for _ in range(failed):
        counted.count(latency_s, "bad shape")
    return counted


def test_a_model_as_good_as_the_one_before_stays() -> None:
    assert fall_back_reason(outcomes(0.02, 50), outcomes(0.02, 50), BOUNDS) is None


def test_too_few_inferences_are_no_judgement() -> None:
    assert fall_back_reason(outcomes(9.0, 0, failed=9), outcomes(0.02, 50), BOUNDS) is None


def test_errors_beyond_the_bound_are_named_with_the_last_error() -> None:
    reason = fall_back_reason(outcomes(0.02, 7, failed=3), None, BOUNDS)
    assert reason is not None
    assert "30%" in reason
    assert "bad shape" in reason


def test_errors_within_the_bound_are_left_to_the_fleet() -> None:
    assert fall_back_reason(outcomes(0.02, 8, failed=2), None, BOUNDS) is None


def test_a_model_beyond_factor_and_slack_is_taken_back() -> None:
    blue = outcomes(0.02, 50)
    assert fall_back_reason(outcomes(0.159, 50), blue, BOUNDS) is None
    assert fall_back_reason(outcomes(0.161, 50), blue, BOUNDS) is not None


def test_slowness_without_a_known_model_before_is_left_to_the_fleet() -> None:
    assert fall_back_reason(outcomes(9.0, 50), None, BOUNDS) is None
    assert fall_back_reason(outcomes(9.0, 50), outcomes(0.02, 9), BOUNDS) is None


def test_one_slow_inference_in_a_hundred_is_no_reason() -> None:
    green = outcomes(0.02, 99)
    green.count(5.0, None)
    assert fall_back_reason(green, outcomes(0.02, 100), BOUNDS) is None


def test_a_judgement_looks_at_the_newest_inferences_only() -> None:
    green = outcomes(0.02, 0, failed=600)
    for _ in range(BOUNDS.remembered_inferences):
        green.count(0.02, None)
    assert fall_back_reason(green, None, BOUNDS) is None
    assert green.good == BOUNDS.remembered_inferences
