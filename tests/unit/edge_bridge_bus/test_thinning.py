"""Step by step the oldest half gives up every second frame, and one frame at least."""

from __future__ import annotations

import pytest

from edge_bridge.telemetry.thinning import LOOKED_AT_ONCE, Thinning, thinned


def through(sizes_bytes: list[int], at_once: int = LOOKED_AT_ONCE) -> list[int]:
    """All that is given up of frames at the places 1, 2 ... until the half is through."""
    frames = list(enumerate(sizes_bytes, 1))
    thinning: Thinning | None = Thinning(sum(sizes_bytes) // 2)
    doomed: list[int] = []
    while thinning is not None:
        place = thinning.place
        step = thinned(thinning, [frame for frame in frames if frame[0] > place][:at_once])
        doomed += step.doomed
        thinning = step.then
    return doomed


@pytest.mark.parametrize("at_once", [2, 4, 10, 100])
def test_every_second_frame_of_the_oldest_half_is_given_up_however_many_are_looked_at(
    at_once: int,
) -> None:
    assert through([100] * 40, at_once) == list(range(2, 21, 2))


def test_the_half_is_one_of_bytes() -> None:
    assert through([1000, *[100] * 10]) == [1]
    assert through([*[100] * 10, 1000]) == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_of_a_few_frames_the_oldest_is_given_up(frames: int) -> None:
    assert through([100] * frames) in ([1], [2])


def test_where_nothing_waits_nothing_is_given_up() -> None:
    assert thinned(Thinning(1000), []).doomed == ()


def test_frames_that_the_hub_has_by_now_end_a_half_that_was_begun() -> None:
    assert thinned(Thinning(1000, seen_bytes=500, place=7), []).then is None
