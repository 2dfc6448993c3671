"""Telemetry waits in order, is numbered without a gap, and is thinned before it is lost."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_bridge.telemetry.spool import Spool, SpoolError, Stored
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import TelemetryFrame

MIB = 1024 * 1024


def frame(at: int, boot: str = "b1", padding: int = 0) -> TelemetryFrame:
    return TelemetryFrame(
        robot_id=RobotId("r1"),
        boot_id=BootId(boot),
        sequence=0,
        started_at_ns=at,
        series=(),
        series_index=b"",
        offsets_us=b"",
        values=bytes(padding),
    )


def sequences(spool: Spool, numbered: int = 1000) -> list[tuple[str, int, int]]:
    return [
        (one.frame.boot_id, one.frame.sequence, one.frame.started_at_ns)
        for one in spool.waiting(0, 10_000, numbered)
    ]


def test_frames_are_numbered_from_1_in_the_order_they_were_made(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    for at in (10, 20, 30):
        spool.append(frame(at))
    assert sequences(spool) == [("b1", 1, 10), ("b1", 2, 20), ("b1", 3, 30)]


def test_a_frame_keeps_its_number_when_it_is_sent_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    spool.append(frame(10))
    before = sequences(spool)
    spool.append(frame(20))
    spool.close()
    assert sequences(Spool(tmp_path / "spool.db", MIB))[:1] == before


def test_a_watermark_forgets_only_its_own_boot_and_only_what_was_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    for at in (1, 2):
        spool.append(frame(at, "old"))
    for at in (3, 4, 5):
        spool.append(frame(at, "new"))
    places = [one.place for one in spool.waiting(0, 100, 100)]
    assert spool.stored(BootId("new"), 99, sent_place=places[3]) == 2
    assert sequences(spool) == [("old", 1, 1), ("old", 2, 2), ("new", 3, 5)]
    assert spool.stored(BootId("old"), 1, sent_place=places[-1]) == 1
    assert sequences(spool) == [("old", 2, 2), ("new", 3, 5)]


def test_a_full_spool_thins_its_oldest_half_and_stays_within_its_bound(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 100_000)
    thinned = sum(spool.append(frame(at, padding=1_000)) for at in range(400))
    assert spool.size_bytes <= 100_000
    kept = [at for _, _, at in sequences(spool, numbered=10_000)]
    assert kept[-30:] == list(range(370, 400)), "the newest frames are whole"
    assert kept[0] == 0, "the old time is thinner, not gone"
    steps = [after - before for before, after in itertools.pairwise(kept)]
    assert steps[-1] == 1 < steps[0], "and the thinner the older"
    assert thinned == spool.frames_thinned == 400 - len(kept)


def test_thinning_leaves_no_gap_in_the_numbers(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 50_000)
    for at in range(10):
        spool.append(frame(at, padding=1_000))
    assert len(sequences(spool, numbered=5)) == 5
    for at in range(10, 300):
        spool.append(frame(at, padding=1_000))
    numbers = [sequence for _, sequence, _ in sequences(spool, numbered=10_000)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [at for _, _, at in sequences(spool)][:5] == [0, 1, 2, 3, 4], "sent frames stay"


def test_numbers_go_on_after_everything_was_stored(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    spool.append(frame(1))
    (only,) = spool.waiting(0, 10, 10)
    spool.stored(BootId("b1"), 1, sent_place=only.place)
    spool.append(frame(2))
    assert sequences(spool) == [("b1", 2, 2)]


def test_a_frame_that_may_be_sent_at_once_is_numbered_as_it_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    for at in (1, 2, 3):
        spool.append(frame(at), number_up_to=2)
    assert sequences(spool, numbered=0) == [("b1", 1, 1), ("b1", 2, 2)]
    assert sequences(spool, numbered=3) == [("b1", 1, 1), ("b1", 2, 2), ("b1", 3, 3)]


def test_what_the_hub_has_is_forgotten_by_the_write_of_the_next_frame(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    spool.append(frame(1, padding=500), number_up_to=9)
    waiting_since_ns = [spool.waiting_since_ns]
    spool.append(frame(2, padding=100), number_up_to=9)
    waiting_since_ns.append(spool.waiting_since_ns)
    (first, _) = spool.waiting(0, 9, 9)
    one = spool.size_bytes
    spool.append(frame(3, padding=100), 9, [Stored(BootId("b1"), 1, first.place)])
    assert sequences(spool) == [("b1", 2, 2), ("b1", 3, 3)]
    waiting_since_ns.append(spool.waiting_since_ns)
    assert waiting_since_ns == [None, 1, 2], "what waited when each frame came"
    assert spool.frames_forgotten == 1
    spool.close()
    assert Spool(tmp_path / "spool.db", MIB).size_bytes == spool.size_bytes < one


def test_a_disk_that_refuses_a_frame_forgets_nothing_either(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    spool.append(frame(1), number_up_to=9)
    spool._database.execute("PRAGMA max_page_count = 1")  # a full disk, to SQLite
    with pytest.raises(SpoolError):
        spool.append(frame(2, padding=100_000), 9, [Stored(BootId("b1"), 1, 99)])
    assert sequences(spool) == [("b1", 1, 1)]
    assert spool.frames_forgotten == 0
    assert spool.stored(BootId("b1"), 1, 99) == 1, "that needs no room"


def test_the_newest_frame_is_sent_without_a_look_at_the_disk_where_no_other_waits(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path / "spool.db", MIB)
    spool.append(frame(1), number_up_to=2)
    first = spool.take_newest(0)
    assert first is not None
    assert first == spool.waiting(0, 9, 0)[0]
    assert spool.take_newest(0) is None, "once: what is sent again comes from the disk"
    spool.append(frame(2), number_up_to=2)
    assert spool.take_newest(0) is None, "the first waits too"
    spool.append(frame(3), number_up_to=2)
    assert spool.take_newest(spool.last_place) is None, "it has no number yet"


def costs(path: Path, limit_bytes: int, frames: int, number_up_to: int = 0) -> list[int]:
    """SQLite's own count of its work, frame by frame."""
    spool, steps = Spool(path, limit_bytes), [0]

    def counted() -> int:
        steps[0] += 1
        return 0

    spool._database.set_progress_handler(counted, 1)
    cost = []
    for at in range(frames):
        before = steps[0]
        spool.append(frame(at), number_up_to)
        cost.append(steps[0] - before)
    spool.close()
    return cost


def test_a_frame_costs_the_same_however_many_wait(tmp_path: Path) -> None:
    """Days without a hub leave hundreds of thousands."""
    cost = costs(tmp_path / "spool.db", 10 * MIB, 2_000, number_up_to=32)
    assert max(cost[1_900:]) <= 1.5 * max(cost[32:100])


def test_a_frame_waits_for_one_step_of_thinning_however_large_the_spool_is(tmp_path: Path) -> None:
    """What else is written, as the word that a model serves, waits for the disk behind it."""
    size = len(encode(frame(1)))
    small, large = (
        costs(tmp_path / f"{frames}.db", frames * size, frames + 600) for frames in (1_200, 4_800)
    )
    assert max(small) > 10 * small[0], "it was thinned"
    assert max(large) <= 1.1 * max(small)


_WRITER = """
import sys
from pathlib import Path
from edge_bridge.telemetry.spool import Spool, SpoolError, Stored
from tests.unit.edge_bridge_bus.test_spool import frame

spool = Spool(Path(sys.argv[1]), 1_000_000)
for at in range(100_000):
    spool.append(frame(at))
    spool.waiting(0, 1, 1_000_000)
    print(at, flush=True)
"""


def test_kill_9_loses_no_spooled_frame_and_breaks_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, cwd=root
    ) as writer:
        assert writer.stdout
        announced = [int(writer.stdout.readline()) for _ in range(200)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    found = sequences(Spool(path, 1_000_000), numbered=1_000_000)
    assert [at for _, _, at in found][: len(announced)] == announced
    assert [number for _, number, _ in found] == list(range(1, len(found) + 1))
