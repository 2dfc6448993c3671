"""Files that the disk refuses to mend: nobody writes over them, and the next start takes them up."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_bridge.recorder.leftovers import UNMENDED
from edge_bridge.recorder.segment_file import LARGE_BYTES, SegmentFile
from fleetward.contracts.segments import Segment
from tests.unit.edge_bridge.continuous_robot import Robot, lost, message, told
from tests.unit.edge_bridge.test_continuous import FailingFile

CHUNKS = 5
_BEHIND_BYTES = 2 * LARGE_BYTES
"""No file grows past it: a small segment can be written, and a longer one cannot be given its end."""


def _limit_files(size_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


@contextmanager
def _nothing_can_be_mended() -> Iterator[None]:
    _limit_files(_BEHIND_BYTES)
    try:
        yield
    finally:
        _limit_files(resource.RLIM_INFINITY)


def _cut_off(directory: Path, first: int = 0) -> Path:
    """As a kill leaves it: whole chunks, and no end."""
    directory.mkdir(parents=True, exist_ok=True)
    file = SegmentFile(directory / f"{first:020d}.mcap")
    for number in range(first, first + CHUNKS):
        file.add(message(number, LARGE_BYTES), number)
    file.close()
    return file.path


def _recorded(robot: Robot, *numbers: int) -> tuple[list[Segment], list[bytes]]:
    """What one life of the robot seals."""
    robot.recorder.start()
    for number in numbers:
        assert robot.recorder.put(message(number))
    robot.recorder.stop()
    return robot.drained()


def test_what_cannot_be_mended_after_a_kill_is_not_written_over_but_sealed_later(
    tmp_path: Path,
) -> None:
    robot = Robot(tmp_path)
    robot.numbers.at_least(CHUNKS + 1)  # the last waited for its chunk
    path = _cut_off(tmp_path / "open")
    before = path.read_bytes()
    with _nothing_can_be_mended():
        robot = Robot(tmp_path)
        later, new = _recorded(robot, CHUNKS + 1)
        assert path.read_bytes() == before
    earlier, old = _recorded(Robot(tmp_path))

    assert (told(old), told(new)) == (list(range(CHUNKS)), [CHUNKS + 1])
    assert [(each.first_number, each.end_number) for each in earlier + later] == [
        (0, CHUNKS),
        (CHUNKS + 1, CHUNKS + 2),
    ]
    assert lost(earlier + later) == 1
    assert not list((tmp_path / "open").iterdir())


def test_room_is_made_before_what_a_kill_left_is_mended(tmp_path: Path) -> None:
    robot = Robot(tmp_path)
    robot.numbers.at_least(CHUNKS)
    _cut_off(tmp_path / "open")

    def makes_room() -> bool:
        _limit_files(resource.RLIM_INFINITY)
        return True

    with _nothing_can_be_mended():
        robot = Robot(tmp_path)
        robot.has_room = makes_room
        segments, contents = _recorded(robot, CHUNKS)
    assert told(contents) == list(range(CHUNKS + 1))
    assert [each.cut_off for each in segments] == [True, False]


def test_what_cannot_be_mended_where_the_disk_failed_is_not_written_over(tmp_path: Path) -> None:
    robot = Robot(tmp_path, segment=FailingFile)
    limits = iter([resource.RLIM_INFINITY, _BEHIND_BYTES])  # to write, then to mend

    def has_room() -> bool:
        _limit_files(next(limits, resource.RLIM_INFINITY))
        return True

    robot.has_room = has_room
    try:
        for number in range(10):
            robot.recorder.put(message(number, LARGE_BYTES))
        robot.recorder.start()
        robot.recorder.stop()
    finally:
        _limit_files(resource.RLIM_INFINITY)
    later, new = robot.drained()
    earlier, old = _recorded(Robot(tmp_path))

    assert (told(old), told(new)) == ([0, 1, 2, 3, 4], [6, 7, 8, 9])
    assert lost(earlier + later) == robot.recorder.lost == 1


def test_only_so_many_are_left_and_the_oldest_go_first(tmp_path: Path) -> None:
    robot = Robot(tmp_path)
    paths = [_cut_off(tmp_path / "open", 10 * place) for place in range(UNMENDED + 2)]
    with _nothing_can_be_mended():
        robot = Robot(tmp_path)
        segments, _ = _recorded(robot, 0)
    assert sorted((tmp_path / "open").iterdir()) == paths[2:]
    assert segments[0].first_number > 10 * (UNMENDED + 1)
