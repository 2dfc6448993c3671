"""Restarts come soon at first, then later; what was never ready, or is not for long, is given up."""

from __future__ import annotations

from fleetward.local.restarts import (
    FIRST_DELAY_S,
    FIRST_START_LIVES,
    FIRST_START_S,
    HOPELESS_AFTER_S,
    LAST_DELAY_S,
    SETTLED_S,
    Life,
    RestartHistory,
)


def life(lasted_s: float, *, ready: bool) -> Life:
    return Life(exit="exit status 1", was_ready=ready, lasted_s=lasted_s)


SERVED = life(SETTLED_S, ready=True)
FELL = life(SETTLED_S / 2, ready=True)
UNREADY = life(0.5, ready=False)


def test_process_that_ran_well_is_started_again_at_once_however_often_it_ended() -> None:
    history = RestartHistory()
    for _ in range(100):
        history = history.after_life(SERVED)
        assert history.delay_s() == FIRST_DELAY_S
        assert not history.is_hopeless()


def test_delay_doubles_up_to_its_bound() -> None:
    history, delays = RestartHistory(), []
    for _ in range(20):
        history = history.after_life(FELL)
        delays.append(history.delay_s())
    assert delays[:3] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert delays[-1] == max(delays) == LAST_DELAY_S


def test_one_good_life_brings_back_the_first_delay() -> None:
    history = RestartHistory()
    for each in (FELL, FELL, UNREADY, SERVED):
        history = history.after_life(each)
    assert history.delay_s() == FIRST_DELAY_S


def test_process_that_gets_ready_now_and_then_is_never_given_up() -> None:
    history = RestartHistory()
    for _ in range(1000):
        history = history.after_life(FELL).after_life(UNREADY)
        assert not history.is_hopeless()


def test_process_that_was_never_ready_is_given_up_after_a_few_lives() -> None:
    history = RestartHistory()
    for _ in range(FIRST_START_LIVES):
        assert not history.is_hopeless()
        history = history.after_life(UNREADY)
    assert history.is_hopeless()


def test_process_that_hangs_on_its_first_start_is_given_up_in_time() -> None:
    history = RestartHistory().after_life(life(FIRST_START_S, ready=False))
    assert history.is_hopeless()


def test_process_that_served_is_given_up_only_after_the_bound_waits_included() -> None:
    history, waited_s, lives = RestartHistory().after_life(SERVED), 0.0, 0
    while not history.is_hopeless():
        history = history.after_life(UNREADY)
        waited_s, lives = waited_s + history.delay_s(), lives + 1
    assert lives > FIRST_START_LIVES
    assert HOPELESS_AFTER_S <= waited_s + lives * UNREADY.lasted_s <= 1.2 * HOPELESS_AFTER_S
