"""What the bridge calls durable is there after a power cut, on a real file system; see ``disk_image``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_bridge.converging.converge import Memory
from edge_bridge.files import Disk, Files
from edge_bridge.journal import Journal
from edge_bridge.telemetry.spool import Spool
from fleetward.contracts.ids import BootId
from testkit.disk_image import DiskImage, format_image, mounted
from tests.unit.edge_bridge_bus.test_journal import activated, facts_in
from tests.unit.edge_bridge_bus.test_spool import frame, sequences

FRAMES = 40
SPOOL_BYTES = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskImage]:
    format_image(tmp_path / "disk.img")
    with mounted(tmp_path / "disk.img", tmp_path / "disk") as disk:
        yield disk


def test_what_was_written_and_not_synced_is_gone_after_a_power_cut(
    disk: DiskImage, tmp_path: Path
) -> None:
    """Else nothing below proves anything."""
    (disk.place / "careless").write_bytes(b"written")
    with disk.after_power_cut(tmp_path / "cut") as left:
        assert not (left / "careless").exists()


def test_a_file_is_the_old_one_or_the_new_one(disk: DiskImage, tmp_path: Path) -> None:
    path = disk.place / "file"
    Files(Disk()).write_whole(path, b"old")
    with disk.after_power_cut(tmp_path / "before") as left:
        assert (left / "file").read_bytes() == b"old"
    Files(Disk()).write_whole(path, b"new")
    with disk.after_power_cut(tmp_path / "after") as left:
        assert (left / "file").read_bytes() == b"new"


def test_what_a_robot_remembered_and_reported_is_there_after_a_power_cut(
    disk: DiskImage, tmp_path: Path
) -> None:
    journal = Journal(disk.place / "journal.db")
    journal.write({None: Memory(bytes_fetched=1)}, [activated(1)])
    journal.write({None: Memory(bytes_fetched=2)}, [activated(2)])
    with disk.after_power_cut(tmp_path / "cut") as left:
        found = Journal(left / "journal.db")
        assert found.memory() == Memory(bytes_fetched=2)
        assert facts_in(found) == [activated(1), activated(2)]
        found.close()
    journal.close()


def test_samples_are_there_after_a_power_cut_under_the_numbers_they_were_sent_with(
    disk: DiskImage, tmp_path: Path
) -> None:
    spool = Spool(disk.place / "spool.db", SPOOL_BYTES)
    for at in range(FRAMES):
        spool.append(frame(at))
    spool.stored(BootId("b1"), 3, sent_place=spool.waiting(0, FRAMES, FRAMES // 2)[9].place)
    numbered = sequences(spool, FRAMES // 2)
    with disk.after_power_cut(tmp_path / "cut") as left:
        found = Spool(left / "spool.db", SPOOL_BYTES)
        assert sequences(found, 0) == numbered, "a number never names another frame"
        assert [at for _, _, at in sequences(found)] == list(range(3, FRAMES))
        found.close()
    spool.close()
