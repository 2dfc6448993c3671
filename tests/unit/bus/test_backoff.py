"""Pauses grow, and stop growing."""

from __future__ import annotations

import pytest

from fleetward.bus.backoff import pause_s


@pytest.mark.parametrize(("failures", "expected_s"), [(1, 0.5), (2, 1.0), (4, 4.0), (6, 10.0)])
def test_pause_doubles_up_to_its_bound(failures: int, expected_s: float) -> None:
    assert pause_s(failures, 0.5, 10.0) == expected_s


def test_a_week_of_failures_still_has_a_pause() -> None:
    assert pause_s(100_000, 0.5, 10.0) == 10.0
