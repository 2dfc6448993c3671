"""A history on a real disk for tests: frames in, samples out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
from msgspec.structs import replace

from fleetward.bus.connection import BusSettings
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import TelemetryFrame
from telemetry_ingest.__main__ import open_catalog
from telemetry_ingest.catalog import Catalog
from telemetry_ingest.columns import columns_of
from telemetry_ingest.errors import StorageFullError
from telemetry_ingest.segments import SCHEMA
from telemetry_ingest.settings import Settings
from telemetry_ingest.store import Arrived, Store

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NOW_NS = 1_772_366_400 * 10**9

Row = tuple[str, str, int, str, int, float]


def settings_in(directory: Path) -> Settings:
    """Settings for a state directory, with a bus that nobody speaks to."""
    return Settings(
        bus=BusSettings(
            url="nats://127.0.0.1:1", credentials=directory / "none", name=Principal.INGEST.value
        ),
        state_dir=directory / "state",
    )


class FullCatalog(Catalog):
    """A catalog whose disk is full from the moment the segment is written."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Refuse every commit, after its block ran."""
        with super().transaction():
            yield
            raise StorageFullError("no room")


def open_store(settings: Settings) -> tuple[Store, Catalog]:
    """A store as a starting process opens it, orphans removed."""
    catalog = open_catalog(settings)
    store = Store(settings, catalog)
    store.recover()
    return store, catalog


def arrived(frame: TelemetryFrame) -> Arrived:
    """A frame as the store takes it."""
    return Arrived(frame.robot_id, frame.boot_id, frame.sequence, columns_of(frame))


def rows_on_disk(settings: Settings) -> list[Row]:
    """(robot, boot, sequence, signal, at_ns, value) of every sample in every segment file."""
    tables = [pq.read_table(file, schema=SCHEMA) for file in settings.segments_dir.iterdir()]
    names = ("robot_id", "boot_id", "sequence", "signal", "at_ns", "value")
    rows: list[Row] = [
        tuple(row[name] for name in names) for table in tables for row in table.to_pylist()
    ]
    return sorted(rows)


def rows_of(frames: list[TelemetryFrame]) -> list[Row]:
    """The rows that these frames must become, each once."""
    rows: list[Row] = []
    for frame in frames:
        columns = columns_of(frame)
        for index, at_ns, value in zip(
            columns.series_index.tolist(),
            columns.at_ns.tolist(),
            columns.values.tolist(),
            strict=True,
        ):
            signal = frame.series[index].signal
            rows.append((frame.robot_id, frame.boot_id, frame.sequence, signal, at_ns, value))
    return sorted(rows)


def merging_early(settings: Settings, at_segments: int) -> Settings:
    """Settings that merge as soon as there are this many segments."""
    return replace(settings, merge_at_segments=at_segments)
