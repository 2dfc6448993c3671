"""What was lost shows in the numbers of what was sealed, whoever lost it."""

from __future__ import annotations

from edge_bridge.shipping.standing import NumberGaps, Standing


def test_what_is_missing_in_files_and_between_them_is_lost() -> None:
    gaps = NumberGaps()
    gaps.sealed(100, 200, 95)
    assert gaps.lost == 5, "what was before the first is not known to be lost"
    gaps.sealed(210, 300, 90)
    assert gaps.lost == 15


def test_file_that_is_said_again_is_counted_once() -> None:
    gaps = NumberGaps()
    for first, end, messages in ((0, 10, 10), (20, 30, 9), (0, 10, 10), (20, 30, 9), (30, 40, 10)):
        gaps.sealed(first, end, messages)
    assert gaps.lost == 11


def test_utilization_is_of_the_room_there_is() -> None:
    standing = Standing(kind="logs", lost_messages=0, waiting_bytes=30, limit_bytes=40)
    assert standing.utilization == 0.75
