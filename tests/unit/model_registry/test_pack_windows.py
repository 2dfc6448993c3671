"""A pack is read in stretches that hold every chunk whole, all of it or only what is needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetward.delivery.manifest import MAX_CHUNK_BYTES, MAX_PACK_BYTES, Chunk
from model_registry.pack_windows import WINDOW_BYTES, Placed, Window, windows

places = st.tuples(st.integers(0, MAX_PACK_BYTES - 1), st.integers(1, MAX_CHUNK_BYTES))
chunks = st.lists(places.map(lambda place: Placed(Chunk(b"", 0, place[1]), place[0])), max_size=40)
KIB = 1024


def assert_each_once_and_whole(found: list[Window], placed: list[Placed]) -> None:
    held = [one for window in found for one in window.placed]
    assert sorted(held, key=repr) == sorted(placed, key=repr)
    for window in found:
        assert window.end - window.start <= WINDOW_BYTES
        assert all(window.start <= one.offset <= one.end <= window.end for one in window.placed)


@given(chunks)
def test_only_what_is_needed_is_read(placed: list[Placed]) -> None:
    found = list(windows(placed))

    assert_each_once_and_whole(found, placed)
    assert all(window.start == min(one.offset for one in window.placed) for window in found)


@given(chunks, st.integers(1, MAX_PACK_BYTES))
def test_a_pack_that_is_read_whole_is_read_without_a_gap(placed: list[Placed], size: int) -> None:
    whole = max([size, *(one.end for one in placed)])
    found = list(windows(placed, whole))

    assert_each_once_and_whole(found, placed)
    read = 0
    for window in found:
        assert window.start <= read < window.end
        assert read - window.start < MAX_CHUNK_BYTES or window.start == 0
        read = window.end
    assert read == whole


def test_chunks_that_lie_far_apart_are_two_stretches() -> None:
    far = [Placed(Chunk(b"", 0, KIB), offset) for offset in (0, 3 * WINDOW_BYTES)]

    assert [(one.start, one.end) for one in windows(far)] == [
        (0, KIB),
        (3 * WINDOW_BYTES, 3 * WINDOW_BYTES + KIB),
    ]
