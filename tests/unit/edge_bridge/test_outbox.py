"""The outbox: bounded, in order, and exact about what it gave up, wherever the robot dies."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest

from edge_bridge.errors import DiskFullError
from edge_bridge.files import Disk
from edge_bridge.shipping.fingerprint import fingerprint
from edge_bridge.shipping.numbers import MessageNumbers
from edge_bridge.shipping.outbox import Outbox
from edge_bridge.shipping.sealed import Losses, Sealed
from edge_bridge.shipping.standing import Standing
from fleetward.contracts.recordings import PART_BYTES
from fleetward.contracts.segments import SegmentKind, lost_before
from tests.unit.edge_bridge.segments import MESSAGES, sealed_file, segment_of
from tests.unit.edge_bridge_bus.mortal_disk import Death, Died, MortalDisk

SIZE_BYTES = 1000


def outbox_of(directory: Path, files: int, disk: Disk | None = None) -> Outbox:
    """One with room for so many files."""
    return Outbox(directory / "out", SegmentKind.RECORDING, files * SIZE_BYTES, disk=disk)


def filled(outbox: Outbox, directory: Path, numbers: range) -> list[bool]:
    return [outbox.put(*sealed_file(directory / "open", number)) for number in numbers]


def drained(outbox: Outbox) -> list[int]:
    """The numbers of what waits in the order of taking, each checked to be its own bytes."""
    found = []
    while (sealed := outbox.take()) is not None:
        number = sealed.segment.first_number // MESSAGES
        assert outbox.path_of(sealed.segment).read_bytes() == bytes([number]) * SIZE_BYTES
        found.append(number)
        outbox.stored(sealed)
    return found


def test_oldest_is_taken_first_also_by_the_next_bridge(tmp_path: Path) -> None:
    filled(outbox_of(tmp_path, 20), tmp_path, range(12))
    outbox = outbox_of(tmp_path, 20)
    assert (len(outbox), outbox.held_bytes) == (12, 12 * SIZE_BYTES)
    assert drained(outbox) == list(range(12))
    assert list((tmp_path / "out").iterdir()) == list((tmp_path / "open").iterdir()) == []


def test_full_outbox_gives_up_the_oldest_and_remembers_how_many(tmp_path: Path) -> None:
    assert all(filled(outbox_of(tmp_path, 3), tmp_path, range(4)))
    outbox = outbox_of(tmp_path, 3)
    assert all(filled(outbox, tmp_path, range(4, 6)))
    assert (outbox.losses.files, outbox.losses.messages) == (3, 3 * MESSAGES)
    assert outbox_of(tmp_path, 3).losses == outbox.losses
    assert drained(outbox) == [3, 4, 5]


def test_standing_counts_what_this_bridge_gave_up_and_not_what_one_before_did(
    tmp_path: Path,
) -> None:
    filled(outbox_of(tmp_path, 3), tmp_path, range(4))
    outbox = outbox_of(tmp_path, 3)
    assert outbox.standing(7).lost_messages == 7
    filled(outbox, tmp_path, range(4, 6))
    assert outbox.standing(7) == Standing(
        kind="recording",
        lost_messages=7 + 2 * MESSAGES,
        waiting_bytes=3 * SIZE_BYTES,
        limit_bytes=3 * SIZE_BYTES,
    )


def test_what_is_being_sent_is_not_given_up_for_room(tmp_path: Path) -> None:
    outbox = outbox_of(tmp_path, 2)
    filled(outbox, tmp_path, range(2))
    taken = outbox.take()
    assert taken is not None
    assert filled(outbox, tmp_path, range(2, 4)) == [True, True]
    outbox.keep(Sealed(segment=taken.segment, upload_id="begun"))
    outbox.stored(taken)
    assert outbox.losses.files == 2
    assert drained(outbox) == [3]


def test_new_file_is_what_is_lost_where_all_the_rest_is_being_sent(tmp_path: Path) -> None:
    outbox = outbox_of(tmp_path, 1)
    filled(outbox, tmp_path, range(1))
    outbox.take()
    assert filled(outbox, tmp_path, range(1, 2)) == [False]
    assert (outbox.losses.files, list((tmp_path / "open").iterdir())) == (1, [])
    outbox.released()
    assert filled(outbox, tmp_path, range(2, 3)) == [True]
    assert drained(outbox) == [2]


def test_disk_keeps_what_is_reserved_for_others(tmp_path: Path) -> None:
    free_bytes = iter([10, 10, 90, 90])
    outbox = Outbox(
        tmp_path / "out",
        SegmentKind.RECORDING,
        10**9,
        reserve_bytes=50,
        free_bytes=lambda: next(free_bytes),
    )
    assert filled(outbox, tmp_path, range(1)) == [False]
    assert filled(outbox, tmp_path, range(1, 2)) == [False]
    assert filled(outbox, tmp_path, range(2, 4)) == [True, True]


class FullDisk(Disk):
    """Takes no byte more until a file goes."""

    def __init__(self) -> None:
        self.is_full = False

    def write_at(self, descriptor: int, content: memoryview, offset: int) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().write_at(descriptor, content, offset)

    def unlink(self, path: Path) -> None:
        if path.suffix == ".mcap":
            self.is_full = False
        super().unlink(path)


def test_disk_without_a_byte_still_counts_what_makes_room(tmp_path: Path) -> None:
    disk = FullDisk()
    outbox = outbox_of(tmp_path, 2, disk)
    filled(outbox, tmp_path, range(2))
    disk.is_full = True
    assert filled(outbox, tmp_path, range(2, 3)) == [True]
    assert outbox_of(tmp_path, 2).losses.files == 1

    roomy = outbox_of(tmp_path, 9, disk)
    disk.is_full = True
    with pytest.raises(DiskFullError):
        filled(roomy, tmp_path, range(3, 4))
    disk.is_full = False
    assert drained(roomy) == [1, 2]
    assert [path.name for path in (tmp_path / "open").iterdir()] == ["3.open"]


STORED = 2
GIVEN_UP = (0, 1, 3)
"""In their order: two for room, one that the registry refuses."""


def _one_day(directory: Path, disk: Disk) -> None:
    """Five files come, the outbox overflows, and of what is left one is stored, one can never be."""
    outbox = outbox_of(directory, 3, disk)
    _put_all(directory, outbox)
    taken = outbox.take()
    assert taken is not None
    outbox.keep(Sealed(segment=taken.segment, upload_id="u", attempts=1))
    outbox.stored(taken)
    taken = outbox.take()
    assert taken is not None
    outbox.give_up(taken, "refused")


def _put_all(directory: Path, outbox: Outbox) -> None:
    """As a maker does that finds its files after a restart."""
    for path in sorted((directory / "open").glob("*")):
        number = int(path.stem)
        outbox.put(path, segment_of(number, bytes([number]) * SIZE_BYTES))


@pytest.mark.parametrize("power_cut", [False, True])
def test_no_death_loses_a_file_uncounted_or_counts_one_twice(
    tmp_path: Path, *, power_cut: bool
) -> None:
    point, died = 0, True
    while died:
        root = tmp_path / str(point)
        (root / "out").mkdir(parents=True)
        for number in range(5):
            sealed_file(root / "open", number)
        disk = MortalDisk(root, Death(point, is_power_cut=power_cut))
        with suppress(Died):
            _one_day(root, disk)
        died, point = disk.is_dead, point + 1
        disk.survive()

        outbox = outbox_of(root, 10)
        _put_all(root, outbox)
        given_up = set(GIVEN_UP[: outbox.losses.files])
        assert set(range(5)) - set(drained(outbox)) - {STORED} == given_up, point
    assert point > 30


def test_numbers_go_on_after_a_restart_and_past_what_was_sealed(tmp_path: Path) -> None:
    numbers = MessageNumbers(tmp_path / "a" / "numbers")
    assert [numbers.take() for _ in range(3)] == [0, 1, 2]
    again = MessageNumbers(tmp_path / "a" / "numbers")
    assert again.next == 3
    again.at_least(100)
    again.at_least(7)
    again.sync()
    again.close()
    assert MessageNumbers(tmp_path / "a" / "numbers").take() == 100


def test_what_is_missing_shows_by_the_numbers() -> None:
    first, third = segment_of(1, b"a"), segment_of(3, b"c")
    assert lost_before(first, None) == 0
    assert lost_before(segment_of(2, b"b"), first) == 0
    assert lost_before(third, first) == MESSAGES


def test_losses_begin_with_none(tmp_path: Path) -> None:
    assert outbox_of(tmp_path, 1).losses == Losses()


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
def test_fingerprint_is_of_the_whole_and_of_each_part(tmp_path: Path, size_bytes: int) -> None:
    content = bytes(range(251)) * (size_bytes // 251 + 1)
    (tmp_path / "file").write_bytes(content[:size_bytes])
    parts = [
        content[start : min(start + PART_BYTES, size_bytes)]
        for start in range(0, max(size_bytes, 1), PART_BYTES)
    ]
    taken = fingerprint(tmp_path / "file")
    assert taken.digest == f"sha256:{hashlib.sha256(content[:size_bytes]).hexdigest()}"
    assert (taken.size_bytes, taken.part_md5s) == (
        size_bytes,
        tuple(hashlib.md5(part, usedforsecurity=False).hexdigest() for part in parts),
    )
