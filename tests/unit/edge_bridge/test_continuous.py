"""What is recorded all the time: every message once in a sealed segment, or missing by its number."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

from msgspec.structs import replace

from edge_bridge.recorder.file import Recorded
from edge_bridge.recorder.segment_file import LARGE_BYTES, SegmentFile
from edge_bridge.shipping.numbers import MessageNumbers
from edge_bridge.shipping.outbox import Outbox
from fleetward.contracts.segments import Segment
from tests.unit.edge_bridge.continuous_robot import LIMITS, Robot, lost, message, told


def test_each_message_is_once_in_segments_that_are_sealed_by_size(tmp_path: Path) -> None:
    robot = Robot(tmp_path)
    robot.recorder.start()
    for number in range(60):
        assert robot.recorder.put(message(number, LARGE_BYTES if number % 2 else 20))
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert told(contents) == list(range(60))
    assert (len(segments) >= 3, lost(segments)) == (True, 0)
    assert all(each.size_bytes < 2 * LIMITS.segment_bytes for each in segments)
    assert segments[-1].end_number == robot.numbers.next == 60
    assert [each.clock_offset_s for each in segments] == [1.5] * len(segments)
    assert sum(each.topics["/imu"] for each in segments) == 60
    assert not list((tmp_path / "open").iterdir())


def test_only_chosen_topics_are_wanted(tmp_path: Path) -> None:
    recorder = Robot(tmp_path).recorder
    assert recorder.wants("/camera/left/raw")
    assert recorder.wants("/imu")
    assert not recorder.wants("/imu2")
    assert not recorder.wants("/facts")


def test_segment_is_sealed_after_its_seconds(tmp_path: Path) -> None:
    robot = Robot(tmp_path, replace(LIMITS, segment_s=0.0))
    sealed = threading.Event()
    robot.outbox.on_put = sealed.set
    robot.recorder.start()
    for number in range(3):
        robot.recorder.put(message(number))
        assert sealed.wait(10)
        sealed.clear()
    robot.recorder.stop()
    assert len(robot.drained()[0]) == 3


def test_what_the_queue_does_not_take_is_missing_by_number(tmp_path: Path) -> None:
    robot = Robot(tmp_path, replace(LIMITS, queue_messages=10, message_bytes=1000))
    taken = [robot.recorder.put(message(number)) for number in range(14)]
    assert taken == [True] * 10 + [False] * 4
    robot.recorder.start()
    while not robot.recorder.put(message(20)):
        time.sleep(0.001)
    assert not robot.recorder.put(message(21, 1001))
    tries = robot.numbers.next
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert told(contents) == [*range(10), 20]
    assert robot.recorder.lost == tries - 11
    # What was lost after the last message shows in the segment after it.
    assert lost(segments) + robot.numbers.next - segments[-1].end_number == tries - 11


def test_what_cannot_be_written_is_missing(tmp_path: Path) -> None:
    robot = Robot(tmp_path)

    def fails() -> Recorded:
        raise RuntimeError("no message")

    for number in range(10):
        robot.recorder.put(message(number))
    robot.recorder.later(fails)
    robot.recorder.put(Recorded(topic="/imu", at_ns=-1, content=b"before time"))
    robot.recorder.put(message(10))
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert (told(contents), lost(segments), robot.numbers.next) == (list(range(11)), 2, 13)


def test_number_that_nothing_came_for_is_missing_and_none_is_given_twice(tmp_path: Path) -> None:
    robot = Robot(tmp_path)
    robot.recorder.start()
    robot.recorder.put(message(0))
    robot.recorder.later(lambda: None)  # type: ignore[arg-type,return-value]  # breaks its promise
    while robot.recorder.waiting:
        time.sleep(0.001)
    robot.recorder.put(message(2))
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert (told(contents), robot.recorder.lost, lost(segments)) == ([0, 2], 1, 1)
    assert segments[-1].end_number == robot.numbers.next == 3


def test_disk_without_room_loses_messages_and_goes_on(tmp_path: Path) -> None:
    robot, room = Robot(tmp_path), iter([False, False])
    robot.has_room = lambda: next(room, True)
    for number in range(5):
        robot.recorder.put(message(number))
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert (told(contents), lost(segments), robot.recorder.lost) == ([2, 3, 4], 2, 2)


class FailingFile(SegmentFile):
    """The disk fails at the fifth message of a file."""

    def add(self, message: Recorded, number: int) -> None:
        if self.index.messages == 5:
            self._write(b"\x06torn")
            raise OSError(errno.ENOSPC, "full")
        super().add(message, number)
        self.flush()


def test_disk_that_fails_in_the_middle_keeps_what_is_whole(tmp_path: Path) -> None:
    robot = Robot(tmp_path, segment=FailingFile)
    for number in range(12):
        robot.recorder.put(message(number))
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert told(contents) == [*range(5), *range(6, 11)]
    assert (len(segments), lost(segments), robot.recorder.lost) == (2, 1, 2)


def test_power_cut_that_took_the_count_back_gives_no_number_twice(tmp_path: Path) -> None:
    robot = Robot(tmp_path)
    for number in range(50):
        robot.recorder.put(message(number))
    robot.recorder.start()
    robot.recorder.stop()
    MessageNumbers(tmp_path / "numbers")
    (tmp_path / "numbers").write_bytes((7).to_bytes(8, "little"))

    robot.start()
    for number in range(50, 60):
        robot.recorder.put(message(number))
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert told(contents) == list(range(60))
    assert (lost(segments), robot.numbers.next) == (0, 60)


class StuckOutbox(Outbox):
    """The disk takes its time."""

    hold = threading.Event()

    def put(self, file: Path, segment: Segment, part_md5s: tuple[str, ...] = ()) -> bool:
        return self.hold.wait(60)


def test_end_of_the_bridge_waits_for_no_slow_disk_and_the_next_one_seals(tmp_path: Path) -> None:
    robot = Robot(tmp_path, outbox=StuckOutbox, stop_s=0.0)
    robot.recorder.put(message(0))
    robot.recorder.start()
    robot.recorder.stop()
    assert [path.name for path in (tmp_path / "open").iterdir()] == [f"{0:020d}.mcap"]
    StuckOutbox.hold.set()

    robot = Robot(tmp_path)
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert (told(contents), lost(segments)) == ([0], 0)
    assert [each.cut_off for each in segments] == [False]
