"""A robot killed with -9 while it records all the time: each message is there once, or missing by its number."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.recorder.segment_file import LARGE_BYTES
from tests.unit.edge_bridge.continuous_robot import LIMITS, Robot, lost, message, told


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
