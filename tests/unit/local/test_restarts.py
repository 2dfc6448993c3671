"""Restarts come soon at first, then later, then not at all."""

from __future__ import annotations

from fleetward.local.restarts import (
    CRASH_LOOP_LIMIT,
    FIRST_DELAY_S,
    LAST_DELAY_S,
    SETTLED_S,
    RestartHistory,
)


def test_process_that_ran_well_is_started_again_at_once_however_often_it_ended() -> None:
    history = RestartHistory()
    for _ in range(10 * CRASH_LOOP_LIMIT):
        history = history.after_life(SETTLED_S)
        assert history.delay_s() == FIRST_DELAY_S


def test_delay_doubles_up_to_its_bound() -> None:
    history, delays = RestartHistory(), []
    for _ in range(CRASH_LOOP_LIMIT - 1):
        history = history.after_life(0.1)
        delays.append(history.delay_s())
    assert delays[:3] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert max(delay for delay in delays if delay is not None) <= LAST_DELAY_S


def test_short_lives_in_a_row_are_a_crash_loop() -> None:
    history = RestartHistory()
    for _ in range(CRASH_LOOP_LIMIT):
        assert history.delay_s() is not None
        history = history.after_life(SETTLED_S - 0.1)
    assert history.delay_s() is None


def test_one_good_life_ends_the_suspicion() -> None:
    history = RestartHistory(CRASH_LOOP_LIMIT - 1).after_life(SETTLED_S)
    assert history.after_life(0.1).delay_s() is not None
