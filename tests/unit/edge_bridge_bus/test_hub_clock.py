"""The hub's time as a robot tells it: within its own bound, whatever the answers took."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pytest

from edge_bridge.hub_clock import DRIFT, SAMPLES_KEPT, HubClock, Sample, measured, reading, until_s

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


def sample(asked_s: float, answered_s: float, hub_at: datetime = NOON) -> Sample:
    return Sample(hub_at=hub_at, asked_s=asked_s, answered_s=answered_s)


def test_nobody_can_tell_before_the_first_answer() -> None:
    assert reading(HubClock(), 5.0) is None
    assert until_s(HubClock(), NOON, 5.0) is None


def test_the_hub_spoke_half_a_round_trip_ago() -> None:
    read = reading(measured(HubClock(), sample(10.0, 10.2)), 10.2)
    assert read is not None
    assert read.hub_now == NOON + timedelta(seconds=0.1)
    assert read.error_s == pytest.approx(0.1)


def test_the_quickest_answer_counts_until_it_is_too_old() -> None:
    quick, slow = sample(0.0, 0.002), sample(100.0, 101.0, NOON + timedelta(seconds=90))
    soon = reading(measured(measured(HubClock(), quick), slow), 101.0)
    assert soon is not None
    assert soon.error_s < 0.012
    assert soon.hub_now == NOON + timedelta(seconds=100.999)
    newer = sample(100.0 + 1 / DRIFT, 101.0 + 1 / DRIFT, NOON)
    late = reading(measured(measured(HubClock(), quick), newer), newer.answered_s)
    assert late is not None
    assert late.hub_now == NOON + timedelta(seconds=0.5)


def test_only_the_newest_samples_are_kept() -> None:
    clock = HubClock()
    for second in range(3 * SAMPLES_KEPT):
        clock = measured(clock, sample(second, second + 0.1))
    assert len(clock.samples) == SAMPLES_KEPT
    assert clock.samples[-1].asked_s == 3 * SAMPLES_KEPT - 1


@pytest.mark.parametrize("seed", range(20))
def test_the_error_is_never_more_than_its_bound_however_uneven_the_way(seed: int) -> None:
    """The hub is ahead by an hour and gains 50 ppm; there and back take different times."""
    chance, clock, now_s = random.Random(seed), HubClock(), 1_000.0

    def hub_at(second: float) -> datetime:
        return NOON + timedelta(seconds=3600 + second * (1 + DRIFT / 2))

    for _ in range(40):
        there_s, back_s = chance.expovariate(20), chance.expovariate(5)
        heard = sample(now_s, now_s + there_s + back_s, hub_at(now_s + there_s))
        clock, now_s = measured(clock, heard), now_s + there_s + back_s + chance.uniform(0, 600)
        read = reading(clock, now_s)
        assert read is not None
        error_s = abs((read.hub_now - hub_at(now_s)).total_seconds())
        assert error_s <= read.error_s + 1e-5
