"""Whose inferences count, for which side, and how often."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from rollout_coordinator.evidence import with_summary
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    OLD,
    activated,
    after,
    at,
    failed,
    started,
    summary,
    told,
)


def test_targeted_robot_on_the_new_model_is_canary_and_waiting_robot_is_control() -> None:
    seen = after(started(1, 1), (summary(1, 1, NEW), 1), (summary(2, 1, OLD), 1)).evidence
    assert (seen.canary.inferences, seen.control.inferences) == (20, 20)
    assert seen.canary.latency_ms.total == pytest.approx(200)


@pytest.mark.parametrize(("number", "digest"), [(1, OLD), (2, NEW), (9, NEW)])
def test_other_inferences_do_not_count(number: int, digest: object) -> None:
    running = started(1, 1)
    assert digest in {OLD, NEW}
    window = summary(number, 1, OLD if digest == OLD else NEW)
    assert with_summary(running, window, at(1)) is running.evidence


def test_window_counts_once_and_never_after_a_newer_one() -> None:
    once = after(started(1), (summary(1, 5), 5))
    assert told(once, summary(1, 5), 5).rollout is once
    assert told(once, summary(1, 4), 6).rollout is once
    assert after(once, (summary(1, 6), 6)).evidence.canary.inferences == 40


def test_window_from_before_the_wave_does_not_count() -> None:
    running = started(1)
    assert with_summary(running, summary(1, -1), at(-1)) is running.evidence


@pytest.mark.parametrize("off_by_days", [-30, 30])
def test_window_of_a_robot_whose_clock_is_days_off_counts_when_it_is_stored(
    off_by_days: int,
) -> None:
    running = started(1)
    window = summary(1, off_by_days * 86_400)
    assert with_summary(running, window, at(-1)) is running.evidence
    assert with_summary(running, window, at(2)).canary.inferences == 20


def test_evidence_starts_over_with_a_wave_but_a_copy_stays_a_copy() -> None:
    """The robot's clock may be ahead of ours: its counted window must not count again."""
    ahead = summary(1, 500)
    second = after(started(1, 1), (activated(1), 1), (ahead, 2), (Tick(), 20))
    assert second.wave == 1
    assert second.evidence.canary.inferences == 0
    assert told(second, ahead, 21).rollout is second


def test_failed_robot_no_longer_counts() -> None:
    policy = replace(started(2).policy, max_error_percent=50)
    running = after(started(2, policy=policy), (failed(1), 1))
    assert with_summary(running, summary(1, 2), at(2)) is running.evidence


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["latency_ms_sum", "confidence_sum_of_squares"])
def test_window_that_holds_no_number_does_not_count(poison: float, field: str) -> None:
    running = started(1)
    window = replace(summary(1, 1), **{field: poison})
    assert with_summary(running, window, at(1)) is running.evidence


def test_errors_are_inferences_without_a_latency() -> None:
    seen = after(started(1), (summary(1, 1, errors=5), 1)).evidence.canary
    assert (seen.inferences, seen.errors, seen.latency_ms.count) == (20, 5, 15)
