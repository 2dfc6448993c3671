"""What is recorded all the time: every message once in a sealed segment, or missing by its number."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.recorder import continuous
from edge_bridge.recorder.continuous import ContinuousRecorder
from edge_bridge.recorder.file import Recorded, messages_in
from edge_bridge.recorder.limits import ContinuousLimits
from edge_bridge.recorder.sealing import Sealer
from edge_bridge.recorder.segment_file import LARGE_BYTES, SegmentFile
from edge_bridge.shipping.numbers import MessageNumbers
from edge_bridge.shipping.outbox import Outbox
from fleetward.contracts.segments import Segment, SegmentKind, lost_before

LIMITS = ContinuousLimits(
    topics=("/camera/*", "/imu"),
    segment_bytes=10 * LARGE_BYTES,
    write_every_s=0.001,
    flush_every_s=0.0,
    retry_wait_s=0.0,
)


class Robot:
    """A recorder in a directory, as often as it is started."""

    def __init__(
        self, directory: Path, limits: ContinuousLimits = LIMITS, reserve_bytes: int = 0
    ) -> None:
        self.directory = directory
        self.limits = limits
        self.reserve_bytes = reserve_bytes
        self.start()
        self.has_room: Callable[[], bool] = self.outbox.make_room

    def start(self) -> None:
        """As a new bridge does."""
        self.outbox = Outbox(
            self.directory / "outbox",
            SegmentKind.RECORDING,
            10**9,
            reserve_bytes=self.reserve_bytes,
        )
        self.numbers = MessageNumbers(self.directory / "numbers")
        self.recorder = ContinuousRecorder(
            self.directory / "open",
            Sealer(self.outbox, lambda: 1.5),
            self.numbers,
            self.limits,
            make_room=self._make_room,
            metadata={"robot_id": "arm"},
            sealed_until=self.outbox.last_number,
        )

    def _make_room(self) -> bool:
        return self.has_room()

    def drained(self) -> tuple[list[Segment], list[bytes]]:
        """What was sealed, in order, and what is in it."""
        segments, contents = [], []
        while (sealed := self.outbox.take()) is not None:
            segments.append(sealed.segment)
            found = [each.content for each in messages_in(self.outbox.path_of(sealed.segment))]
            assert len(found) == sealed.segment.messages
            contents += found
            self.outbox.stored(sealed)
        return segments, contents


def message(number: int, size_bytes: int = 20, topic: str = "/imu") -> Recorded:
    return Recorded(
        topic=topic, at_ns=10**18 + number, content=f"{number}".encode().ljust(size_bytes)
    )


def told(contents: list[bytes]) -> list[int]:
    return sorted(int(content) for content in contents)


def lost(segments: list[Segment]) -> int:
    """Of all that the robot counted, by what its segments tell."""
    before, missing = None, 0
    for segment in segments:
        missing += lost_before(segment, before)
        before = segment
    return missing


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


def test_what_was_nothing_to_record_is_not_missing(tmp_path: Path) -> None:
    robot = Robot(tmp_path)

    def fails() -> Recorded:
        raise RuntimeError("no message")

    for number in range(10):
        robot.recorder.later(lambda: None)
        robot.recorder.put(message(number))
    robot.recorder.later(fails)
    robot.recorder.put(message(10))
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert (told(contents), lost(segments), robot.numbers.next) == (list(range(11)), 1, 12)


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


def test_disk_that_fails_in_the_middle_keeps_what_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuous, "SegmentFile", FailingFile)
    robot = Robot(tmp_path)
    for number in range(12):
        robot.recorder.put(message(number))
    robot.recorder.start()
    robot.recorder.stop()
    segments, contents = robot.drained()
    assert told(contents) == [*range(5), *range(6, 11)]
    assert (len(segments), lost(segments), robot.recorder.lost) == (2, 1, 2)


def _record_for_ever(directory: Path, started: int) -> None:
    """Messages of both sizes, one after the other; numbered as the robot numbers them."""
    robot = Robot(directory, replace(LIMITS, flush_every_s=0.01, segment_bytes=60 * LARGE_BYTES))
    number = robot.numbers.next
    robot.recorder.start()
    os.write(started, b".")
    while True:
        robot.recorder.put(message(number, LARGE_BYTES if number % 5 == 0 else 20))
        number += 1


def _record_ten_and_three(directory: Path, started: int) -> None:
    """Ten that are given to the kernel at once, and three that wait for their chunk."""
    robot = Robot(directory, replace(LIMITS, flush_every_s=1e9, segment_bytes=10**9))
    for number in range(13):
        robot.recorder.put(message(number, LARGE_BYTES if number < 10 else 20))
    robot.recorder.start()
    while robot.recorder.waiting:
        time.sleep(0.001)
    os.write(started, b".")
    signal.pause()


def _killed(directory: Path, after_s: float, life: Callable[[Path, int], None]) -> None:
    """``life`` in a process of its own, so long after it said that it is under way."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            life(directory, writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        assert said.read(1)
        select.select([said], [], [], after_s)  # it says nothing more
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_kill_costs_what_waited_for_its_chunk_and_says_so(tmp_path: Path) -> None:
    _killed(tmp_path, 0.0, _record_ten_and_three)
    robot = Robot(tmp_path)
    robot.recorder.start()
    robot.recorder.put(message(13))
    robot.recorder.stop()

    segments, contents = robot.drained()
    assert told(contents) == [*range(10), 13]
    assert [(each.cut_off, each.first_number, each.end_number) for each in segments] == [
        (True, 0, 13),
        (False, 13, 14),
    ]
    assert lost(segments) == 3


@pytest.mark.parametrize("seed", range(6))
def test_killed_again_and_again_each_message_is_there_once_or_missing(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(3):
        _killed(tmp_path, chance.uniform(0.02, 0.2), _record_for_ever)
    robot = Robot(tmp_path)
    robot.recorder.start()
    robot.recorder.put(message(robot.numbers.next))
    robot.recorder.stop()

    segments, contents = robot.drained()
    found = told(contents)
    assert len(found) == len(set(found))
    counted = robot.numbers.next
    assert len(found) + lost(segments) == counted == segments[-1].end_number
    for segment in segments:
        assert segment.first_number <= segment.end_number


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
