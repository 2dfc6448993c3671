"""The end of the bridge is waited for within bounds, however far the disk is behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.errors import DiskFailedError
from edge_bridge.recorder.sealing import BEHIND
from edge_bridge.shipping.outbox import Outbox
from fleetward.bus.logs import Said
from fleetward.contracts.segments import Segment
from tests.unit.edge_bridge.continuous_robot import LIMITS, Robot, message, told

MESSAGES = 8
_WRITTEN = BEHIND + 2
"""One is being sealed, so many wait, and whoever writes waits with one more."""
SOON_S = 5.0
EACH_ITS_OWN = replace(LIMITS, segment_bytes=1)


class FailingOutbox(Outbox):
    """The disk refuses every file."""

    def put(self, file: Path, segment: Segment, part_md5s: tuple[str, ...] = ()) -> bool:
        raise DiskFailedError(f"{file.name}: refused")


class StuckOutbox(Outbox):
    """The disk takes its time."""

    hold = threading.Event()

    def put(self, file: Path, segment: Segment, part_md5s: tuple[str, ...] = ()) -> bool:
        return self.hold.wait(60)


def _behind(robot: Robot) -> None:
    """Each message is a segment, until whoever writes waits for whoever seals."""
    for number in range(MESSAGES):
        assert robot.recorder.put(message(number))
    robot.recorder.start()
    while robot.recorder.waiting > MESSAGES - _WRITTEN + 1:
        time.sleep(0.001)


def _stop_s(robot: Robot) -> float:
    began_s = time.monotonic()
    robot.recorder.stop()
    return time.monotonic() - began_s


def test_end_tries_each_file_that_fails_once_and_the_next_bridge_seals_all(tmp_path: Path) -> None:
    robot = Robot(tmp_path, EACH_ITS_OWN, outbox=FailingOutbox)
    _behind(robot)
    assert _stop_s(robot) < SOON_S
    assert len(list((tmp_path / "open").iterdir())) == MESSAGES

    robot = Robot(tmp_path)
    robot.recorder.start()
    robot.recorder.stop()
    assert told(robot.drained()[1]) == list(range(MESSAGES))


def test_end_waits_so_long_for_a_writer_that_waits_for_a_stuck_disk(tmp_path: Path) -> None:
    robot = Robot(tmp_path, replace(EACH_ITS_OWN, stop_s=0.05), outbox=StuckOutbox, stop_s=0.05)
    _behind(robot)
    try:
        assert _stop_s(robot) < SOON_S
        assert len(list((tmp_path / "open").iterdir())) >= _WRITTEN - 1
    finally:
        StuckOutbox.hold.set()


def test_what_the_end_could_not_write_is_said_and_the_next_bridge_counts_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    robot = Robot(tmp_path, replace(EACH_ITS_OWN, stop_s=0.05), outbox=StuckOutbox, stop_s=0.05)
    StuckOutbox.hold.clear()
    _behind(robot)
    try:
        robot.recorder.stop()
    finally:
        StuckOutbox.hold.set()
    (unwritten,) = [
        each.msg.fields["messages"]
        for each in caplog.records
        if isinstance(each.msg, Said) and each.msg.event == "continuous.unwritten"
    ]

    robot = Robot(tmp_path)
    robot.recorder.start()
    robot.recorder.stop()
    written = told(robot.drained()[1])
    assert written == list(range(len(written)))
    assert robot.recorder.lost == MESSAGES - len(written) > 0
    assert unwritten in (robot.recorder.lost, robot.recorder.lost + 1), (
        "the one that was being written may be counted"
    )
