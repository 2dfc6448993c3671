"""Segments on the disk: killed, full, or damaged, what is left is whole, and what is not is counted."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.writing import OPEN, SegmentWriter
from tests.unit.edge_bridge_logs.records import all_numbers, record

LIMITS = LogSettings(reserve_bytes=0, segment_bytes=3000, block_bytes=2000)
KILLS = 8


def place(number: int) -> bytes:
    """Where the source would be read again: behind this record."""
    return msgspec.json.encode({"read": number})


def written_to(writer: SegmentWriter) -> int:
    """What the next record of the source is, by the place that was kept."""
    position = msgspec.json.decode(writer.positions)
    return 0 if position is None else int(position["read"])


def _collect_for_ever(directory: Path) -> None:
    writer = SegmentWriter(directory, LIMITS)
    number = written_to(writer)
    while True:
        count = random.randint(1, 30)
        writer.add(
            [record(each, body=os.urandom(8).hex()) for each in range(number, number + count)]
        )
        number += count
        if random.random() < 0.7:
            writer.write(place(number))
        if random.random() < 0.1:
            writer.seal()


def test_nothing_is_lost_or_twice_however_often_it_is_killed(tmp_path: Path) -> None:
    chance = random.Random(1)
    for _ in range(KILLS):
        child = os.fork()
        if child == 0:
            try:
                _collect_for_ever(tmp_path)
            finally:
                os._exit(1)
        ready = tmp_path / "place.json"
        before = ready.stat().st_mtime_ns if ready.exists() else 0
        while not ready.exists() or ready.stat().st_mtime_ns == before:
            os.sched_yield()
        for _ in range(chance.randint(0, 3000)):
            os.sched_yield()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    writer = SegmentWriter(tmp_path, LIMITS)
    numbers = all_numbers(tmp_path)
    assert numbers == list(range(len(numbers)))
    assert written_to(writer) == writer.next == len(numbers) > 0
    assert not list(tmp_path.glob(f"*{OPEN}"))


@pytest.mark.parametrize("cut_bytes", [1, 30, 200, 10_000])
def test_power_cut_leaves_what_was_whole(tmp_path: Path, cut_bytes: int) -> None:
    writer = SegmentWriter(tmp_path, replace(LIMITS, segment_bytes=10**6))
    for number in range(0, 40, 10):
        writer.add([record(each) for each in range(number, number + 10)])
        writer.write(place(number + 10))
    (path,) = tmp_path.glob(f"*{OPEN}")
    size = path.stat().st_size
    with path.open("r+b") as file:  # as file systems leave what was not synced
        file.truncate(max(0, size - cut_bytes))
        file.truncate(size)

    again = SegmentWriter(tmp_path, LIMITS)
    numbers = all_numbers(tmp_path)
    assert numbers == list(range(written_to(again)))
    assert len(numbers) in (0, 30)
    assert again.next == len(numbers)


def test_many_records_at_once_are_one_step(tmp_path: Path) -> None:
    """The place behind them is told by the last of their blocks alone."""
    writer = SegmentWriter(tmp_path, replace(LIMITS, segment_bytes=10**6))
    writer.add([record(each, body=os.urandom(100).hex()) for each in range(5000)])
    writer.write(place(5000))
    (path,) = tmp_path.glob(f"*{OPEN}")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    again = SegmentWriter(tmp_path, LIMITS)
    assert (written_to(again), again.sealed, again.next) == (0, [], 0)


def test_sealed_segment_says_what_is_in_it(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, LIMITS)
    writer.add([record(0), record(1, 17, "arm")])
    writer.write(place(2))
    writer.seal()
    (sealed,) = writer.sealed
    assert (sealed.first, sealed.end, sealed.records) == (0, 2, 2)
    assert sealed.until_ns - sealed.from_ns == 10**9
    assert sealed.units == {"nav": 1, "arm": 1}
    (same,) = SegmentWriter(tmp_path, LIMITS).sealed
    assert same == sealed


class Full:
    """A disk with room for so many bytes beside what the directory has."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._directory = directory
        self.size_bytes = size_bytes

    def free_bytes(self) -> int:
        held = sum(path.stat().st_size for path in self._directory.iterdir())
        return self.size_bytes - held


def test_full_disk_costs_the_oldest_records_and_they_are_counted(tmp_path: Path) -> None:
    disk = Full(tmp_path, 20_000)
    writer = SegmentWriter(tmp_path, LIMITS, free_bytes=disk.free_bytes)
    for number in range(0, 1500, 10):
        writer.add([record(each, body=os.urandom(50).hex()) for each in range(number, number + 10)])
        writer.write(place(number))
    writer.seal()
    numbers = all_numbers(tmp_path)
    assert numbers == list(range(numbers[0], 1500))
    assert writer.lost == numbers[0] > 0


def test_disk_without_any_room_costs_records_and_no_more(tmp_path: Path) -> None:
    disk = Full(tmp_path, 0)
    writer = SegmentWriter(tmp_path, LIMITS, free_bytes=disk.free_bytes)
    writer.add([record(0), record(1)])
    writer.write(place(2))
    assert (writer.lost, all_numbers(tmp_path)) == (2, [])
    disk.size_bytes = 10**6
    writer.add([record(2)])
    writer.write(place(3))
    writer.seal()
    (sealed,) = writer.sealed
    assert (sealed.first, sealed.records) == (2, 1)


def test_segments_that_nobody_takes_are_bounded(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, replace(LIMITS, sealed_bytes=10_000))
    for number in range(300):
        writer.add([record(number, body=os.urandom(90).hex())])
        writer.write(place(number))
    assert sum(each.size_bytes for each in writer.sealed) <= 10_000
    assert writer.lost == writer.sealed[0].first


def test_segment_that_was_taken_is_forgotten_and_not_counted(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, LIMITS)
    for number in range(2):
        writer.add([record(number)])
        writer.write(place(number))
        writer.seal()
        writer.path_of(writer.sealed[-1]).unlink()
    assert (len(writer.sealed), writer.lost) == (1, 0)
