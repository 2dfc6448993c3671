"""The robot's disk is full while it records all the time: the oldest goes, then the newest, and all is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from edge_bridge.recorder.segment_file import LARGE_BYTES
from tests.faults.small_disks import fill_up, small_disk
from tests.unit.edge_bridge.continuous_robot import LIMITS, Robot, lost, message, told

MIB = 1024 * 1024
DISK_BYTES, RESERVE_BYTES = 24 * MIB, 4 * MIB
LAST = 20
WAIT_S = 20.0


def until(holds: Callable[[], bool]) -> None:
    """From another thread nothing tells: look again."""
    until_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_full_disk_costs_the_oldest_then_the_newest_and_nothing_uncounted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, DISK_BYTES):
        robot = Robot(disk / "robot", replace(LIMITS, retry_wait_s=0.05), RESERVE_BYTES)
        robot.recorder.start()
        count = 2 * DISK_BYTES // LARGE_BYTES
        for number in range(count):
            assert robot.recorder.put(message(number, LARGE_BYTES))
        until(lambda: robot.recorder.waiting == 0)
        assert robot.outbox.losses.files > 0

        assert robot.recorder.lost == 0

        until(lambda: _lost_one(robot, disk))
        for filler in disk.glob("filler-*"):
            filler.unlink()
        time.sleep(0.1)  # for so long a disk that failed is left alone
        first = robot.numbers.next
        for number in range(first, first + LAST):
            assert robot.recorder.put(message(number, LARGE_BYTES))
        robot.recorder.stop()

        segments, contents = robot.drained()
        found = told(contents)
    assert found[-LAST:] == list(range(first, first + LAST))
    assert len(found) == len(set(found)) == sum(each.messages for each in segments)
    missing = lost(segments) + segments[0].first_number
    assert len(found) + missing == segments[-1].end_number == first + LAST


def _lost_one(robot: Robot, disk: Path) -> bool:
    """Others take what the outbox gave up, until it has nothing left to give."""
    robot.recorder.put(message(robot.numbers.next, LARGE_BYTES))
    fill_up(disk / f"filler-{robot.numbers.next}")
    return robot.recorder.lost > 0
