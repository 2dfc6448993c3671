"""Who is watched gives signs of life in time, and nobody else does."""

from __future__ import annotations

import pytest

from fleetward.bus.readiness import watchdog_period_s

PID = 7


def test_a_sign_of_life_comes_twice_within_the_patience() -> None:
    assert watchdog_period_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, PID) == 15.0
    assert watchdog_period_s({"WATCHDOG_USEC": "30000000"}, PID) == 15.0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"},
    ],
    ids=str,
)
def test_nobody_else_is_watched(environment: dict[str, str]) -> None:
    assert watchdog_period_s(environment, PID) is None
