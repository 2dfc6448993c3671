"""A frame is on disk exactly once, wherever a crash falls between segment and commit."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import QueryTelemetry
from telemetry_ingest.columns import columns_of
from telemetry_ingest.errors import QueryRefusedError, StorageFullError
from telemetry_ingest.housekeeping import Housekeeping
from telemetry_ingest.query import Reader
from telemetry_ingest.segments import SORTED_BY, table_of
from telemetry_ingest.store import Arrived, Store
from testkit.telemetry import digest_of, frame, inference_frames
from tests.unit.telemetry_ingest.histories import (
    NOW_NS,
    START,
    FullCatalog,
    arrived,
    merging_early,
    open_store,
    rows_of,
    rows_on_disk,
    settings_in,
)

A = digest_of("a")
FRAMES = [
    *inference_frames("r1", "b1", START, A, count=12),
    *inference_frames("r2", "b1", START, A, count=12, seed=1),
]


def test_what_is_committed_is_on_disk_value_for_value(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store, _ = open_store(settings)
    committed = store.commit([arrived(one) for one in FRAMES], NOW_NS)
    assert rows_on_disk(settings) == rows_of(FRAMES)
    assert {(w.robot_id, w.sequence) for w in committed.watermarks} == {("r1", 12), ("r2", 12)}
    assert (committed.frames, committed.samples) == (24, len(rows_of(FRAMES)))


def test_a_redelivered_frame_is_announced_again_and_stored_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store, _ = open_store(settings)
    batch = [arrived(one) for one in FRAMES]
    first = store.commit([*batch, *batch[:3]], NOW_NS)
    again = store.commit(batch, NOW_NS)
    assert again.watermarks == first.watermarks
    assert (again.frames, again.samples) == (0, 0)
    assert rows_on_disk(settings) == rows_of(FRAMES)


def test_rows_are_sorted_by_signal_robot_and_time() -> None:
    shuffled = random.Random(7).sample(FRAMES, len(FRAMES))
    rows = table_of([columns_of(one) for one in shuffled]).to_pylist()
    keys = [tuple(row[column] for column in SORTED_BY) for row in rows]
    assert keys == sorted(keys)


def test_a_segment_whose_commit_failed_is_an_orphan_and_goes_at_the_next_start(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)
    open_store(settings)[1].close()
    store = Store(settings, FullCatalog(settings.state_dir))
    with pytest.raises(StorageFullError):
        store.commit([arrived(one) for one in FRAMES], NOW_NS)
    assert len(list(settings.segments_dir.iterdir())) == 1
    restarted, _ = open_store(settings)
    assert list(settings.segments_dir.iterdir()) == []
    restarted.commit([arrived(one) for one in FRAMES], NOW_NS)
    assert rows_on_disk(settings) == rows_of(FRAMES)


def test_a_commit_that_is_tried_again_replaces_its_first_try(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store, _ = open_store(settings)
    batch = [arrived(one) for one in FRAMES]
    with pytest.raises(StorageFullError):
        Store(settings, FullCatalog(settings.state_dir)).commit(batch, NOW_NS)
    store.commit(batch, NOW_NS)
    assert rows_on_disk(settings) == rows_of(FRAMES)


def test_an_unfinished_file_of_a_crash_goes_at_the_next_start(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    open_store(settings)[0].commit([arrived(FRAMES[0])], NOW_NS)
    (settings.segments_dir / "abc.unfinished").write_bytes(b"half")
    open_store(settings)
    assert rows_on_disk(settings) == rows_of(FRAMES[:1])


@given(st.randoms(use_true_random=False), st.sets(st.integers(0, 30), max_size=5))
def test_restarts_between_batches_in_any_order_store_and_summarize_each_frame_once(
    chance: random.Random, restarts: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder))
        order = chance.sample(FRAMES, len(FRAMES)) + chance.sample(FRAMES, 6)
        store, catalog = open_store(settings)
        for place in range(0, len(order), 3):
            if place in restarts:
                catalog.close()
                store, catalog = open_store(settings)
            store.commit([arrived(one) for one in order[place : place + 3]], NOW_NS)
        assert rows_on_disk(settings) == rows_of(FRAMES)
        due = [(one.robot_id, one.window, one.inferences) for one in store.due()]
        assert due == [(robot, window, 20) for robot in ("r1", "r2") for window in (1, 2)]
        catalog.close()


def test_a_refused_frame_is_settled_so_that_its_robot_may_trim_it(tmp_path: Path) -> None:
    store, _ = open_store(settings_in(tmp_path))
    refused = Arrived(RobotId("r1"), BootId("b1"), 2)
    committed = store.commit([arrived(FRAMES[0]), refused, arrived(FRAMES[2])], NOW_NS)
    assert [w.sequence for w in committed.watermarks] == [3]


def test_a_robot_with_too_many_boots_is_refused_and_others_are_not(tmp_path: Path) -> None:
    store, _ = open_store(replace(settings_in(tmp_path), boots_per_robot=2))
    boots = [frame("r1", f"b{n}", 1, START, {"link.rtt": [(0.0, 0.1)]}) for n in range(3)]
    for one in boots[:2]:
        assert store.commit([arrived(one)], NOW_NS).refused == frozenset()
    committed = store.commit([arrived(boots[2]), arrived(FRAMES[12])], NOW_NS)
    assert committed.refused == {("r1", "b2", 1)}
    assert committed.frames == 1


def test_summaries_are_owed_until_they_are_settled(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store, catalog = open_store(settings)
    store.commit([arrived(one) for one in FRAMES], NOW_NS)
    owed = store.due()
    catalog.close()
    restarted, _ = open_store(settings)
    assert restarted.due() == owed
    restarted.settle_due(owed[:1])
    assert restarted.due() == owed[1:]


def test_merging_keeps_every_sample_and_queries_see_no_difference(tmp_path: Path) -> None:
    settings = merging_early(settings_in(tmp_path), 4)
    store, catalog = open_store(settings)
    for start in range(0, 24, 6):
        store.commit([arrived(one) for one in FRAMES[start : start + 6]], NOW_NS)
    reader = Reader(settings)
    wanted = QueryTelemetry(
        signal="link.rtt", start=START, end=START + timedelta(hours=1), limit=100
    )
    before = reader.answer(wanted)
    housekeeping = Housekeeping(settings, catalog)
    assert housekeeping.round(NOW_NS).merged == 4
    assert reader.answer(wanted) == before
    housekeeping.round(NOW_NS)
    (merged,) = settings.segments_dir.iterdir()
    keys = [tuple(row[name] for name in SORTED_BY) for row in pq.read_table(merged).to_pylist()]
    assert keys == sorted(keys)
    assert rows_on_disk(settings) == rows_of(FRAMES)
    assert reader.answer(wanted) == before
    assert before.matched == len(before.samples) == 24


def test_expired_history_leaves_the_disk(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store, catalog = open_store(settings)
    store.commit([arrived(one) for one in FRAMES], NOW_NS)
    late_ns = NOW_NS + int((settings.keep_segments_s + 60) * 1e9)
    housekeeping = Housekeeping(settings, catalog)
    assert housekeeping.round(late_ns).expired == 1
    housekeeping.round(late_ns)
    assert list(settings.segments_dir.iterdir()) == []


class TestQuery:
    """Questions about what is durable."""

    def reader(self, directory: Path) -> Reader:
        """A reader over the committed FRAMES."""
        settings = settings_in(directory)
        open_store(settings)[0].commit([arrived(one) for one in FRAMES], NOW_NS)
        return Reader(settings)

    def test_a_range_is_closed_at_its_start_and_open_at_its_end(self, tmp_path: Path) -> None:
        answered = self.reader(tmp_path).answer(
            QueryTelemetry(
                signal="link.rtt",
                robot_id=RobotId("r2"),
                start=START + timedelta(seconds=0.25),
                end=START + timedelta(seconds=1),
            )
        )
        expected = [
            (at_ns, value)
            for robot, _, sequence, signal, at_ns, value in rows_of(FRAMES)
            if robot == "r2" and signal == "link.rtt" and sequence in (2, 3, 4)
        ]
        assert [(one.at_ns, one.value) for one in answered.samples] == expected
        assert answered.matched == 3

    def test_attributes_come_back(self, tmp_path: Path) -> None:
        wanted = QueryTelemetry(
            signal="model.inference.duration", start=START, end=START + timedelta(days=1), limit=1
        )
        answered = self.reader(tmp_path).answer(wanted)
        assert answered.samples[0].attributes == {"digest": A}
        assert (len(answered.samples), answered.matched) == (1, 120)

    def test_a_signal_that_is_sql_matches_nothing(self, tmp_path: Path) -> None:
        hostile = "x' OR '1'='1"
        wanted = QueryTelemetry(signal=hostile, start=START, end=START + timedelta(days=1))
        assert self.reader(tmp_path).answer(wanted).matched == 0

    def test_a_reply_never_outgrows_one_message(self, tmp_path: Path) -> None:
        self.reader(tmp_path)
        reader = Reader(replace(settings_in(tmp_path), query_reply_bytes=1000))
        answered = reader.answer(
            QueryTelemetry(signal="link.rtt", start=START, end=START + timedelta(days=1))
        )
        assert 0 < len(answered.samples) < answered.matched == 24

    @pytest.mark.parametrize("limit", [0, -1, 10_001])
    def test_a_limit_outside_its_bounds_is_refused(self, tmp_path: Path, limit: int) -> None:
        with pytest.raises(QueryRefusedError, match="outside 1"):
            Reader(self.reader(tmp_path)._settings).answer(
                QueryTelemetry(
                    signal="link.rtt", start=START, end=START + timedelta(1), limit=limit
                )
            )

    def test_an_empty_range_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(QueryRefusedError, match="is not before"):
            self.reader(tmp_path).answer(QueryTelemetry(signal="a", start=START, end=START))
