"""The ledger's one promise: every captured frame ends exactly once."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bridge.errors import LedgerError
from edge_bridge.workers.ledger import End, Fate, Ledger

ENDS = ("serve", "fail", "drop")
steps = st.lists(
    st.tuples(st.sampled_from(["capture", "reissue", *ENDS]), st.integers(0, 1 << 16)),
    max_size=200,
)


def _apply(ledger: Ledger, step: str, choice: int) -> None:
    """Capture, or do ``step`` to one of the open frames."""
    if step == "capture" or not ledger.open_frames:
        ledger.capture()
        return
    open_frames = sorted(ledger.open_frames)
    getattr(ledger, step)(open_frames[choice % len(open_frames)])


@given(steps)
def test_captured_frames_are_served_failed_dropped_or_open_after_any_history(
    history: list[tuple[str, int]],
) -> None:
    ledger = Ledger()
    for step, choice in history:
        _apply(ledger, step, choice)

    assert ledger.unaccounted() == len(ledger.open_frames)
    assert ledger.next_frame == ledger.frames_captured + 1


@given(steps)
def test_the_fates_of_all_frames_add_up_to_the_counts_after_any_history(
    history: list[tuple[str, int]],
) -> None:
    ledger = Ledger()
    for step, choice in history:
        _apply(ledger, step, choice)

    fates = [ledger.fate_of(frame) for frame in range(1, ledger.next_frame)]
    ends = [fate.end for fate in fates if fate is not None]
    assert len(ends) == ledger.frames_captured
    assert ends.count(End.SERVED) == ledger.frames_served
    assert ends.count(End.FAILED) == ledger.frames_failed
    assert ends.count(End.DROPPED) == ledger.frames_dropped
    assert ends.count(End.OPEN) == ledger.unaccounted()
    assert sum(fate.reissues for fate in fates if fate) == ledger.frames_reissued


def test_only_the_newest_fates_are_kept_and_none_of_an_open_frame_is_lost() -> None:
    ledger = Ledger(max_fates=2)
    opened = ledger.capture()
    for _ in range(3):
        ledger.drop(ledger.capture())
    assert ledger.fate_of(opened) == Fate(opened, End.OPEN)
    assert ledger.fate_of(opened + 1) is None
    assert ledger.fate_of(opened + 2) == Fate(opened + 2, End.DROPPED)
    assert ledger.fate_of(99) is None


@given(steps, st.lists(st.sampled_from(ENDS), min_size=1))
def test_account_is_closed_once_every_open_frame_ended(
    history: list[tuple[str, int]], ends: list[str]
) -> None:
    ledger = Ledger()
    for step, choice in history:
        _apply(ledger, step, choice)
    for turn, frame in enumerate(ledger.open_frames):
        getattr(ledger, ends[turn % len(ends)])(frame)

    assert ledger.unaccounted() == 0
    ended = ledger.frames_served + ledger.frames_failed + ledger.frames_dropped
    assert ended == ledger.frames_captured


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", [*ENDS, "reissue"])
def test_ended_frame_can_neither_end_again_nor_be_reissued(first: str, second: str) -> None:
    ledger = Ledger()
    frame = ledger.capture()
    getattr(ledger, first)(frame)
    before = deepcopy(vars(ledger))

    with pytest.raises(LedgerError, match=f"frame {frame} is not open"):
        getattr(ledger, second)(frame)
    assert vars(ledger) == before


@pytest.mark.parametrize("step", [*ENDS, "reissue"])
def test_frame_that_was_never_captured_is_refused(step: str) -> None:
    with pytest.raises(LedgerError, match="frame 7"):
        getattr(Ledger(), step)(7)


def test_reissued_frame_still_owes_its_end() -> None:
    ledger = Ledger()
    frame = ledger.capture()
    ledger.reissue(frame)
    assert ledger.unaccounted() == 1
    ledger.serve(frame)
    assert (ledger.unaccounted(), ledger.frames_reissued, ledger.frames_served) == (0, 1, 1)
