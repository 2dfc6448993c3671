"""Makes frames durable in one order: segment on disk, then the catalog's commit, then the answer.

A crash before the commit leaves an orphan file and unacknowledged frames; a crash after it leaves
frames that are known when they come again. Nothing here speaks to the bus.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import InferenceSummarized, TelemetryStored
from telemetry_ingest import segments
from telemetry_ingest.boots import Absorbed, BootRecord, absorb
from telemetry_ingest.catalog import BootKey, Catalog
from telemetry_ingest.columns import Columns
from telemetry_ingest.errors import StorageFailedError, StorageFullError
from telemetry_ingest.moments import FrameMoments, moments_of
from telemetry_ingest.settings import Settings
from telemetry_ingest.summaries import summary_of

FrameKey = tuple[RobotId, BootId, int]
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Arrived(Struct, frozen=True):
    """A frame to store; without columns, one that was refused and stands in the dead letters."""

    robot_id: RobotId
    boot_id: BootId
    sequence: int
    columns: Columns | None = None

    @property
    def key(self) -> FrameKey:
        """The frame's name, once and for all."""
        return (self.robot_id, self.boot_id, self.sequence)


class Committed(Struct, frozen=True):
    """What is durable now: a watermark per boot, how many frames and samples were new.

    ``refused`` frames are not stored: their boot has too many gaps, or their robot too many boots.
    """

    watermarks: tuple[TelemetryStored, ...]
    frames: int
    samples: int
    refused: frozenset[FrameKey]


class Store:
    """The segments and the catalog of one directory, used from one thread at a time."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._directory = settings.segments_dir

    def recover(self) -> list[str]:
        """Remove what a crash left unfinished; returns the names of the removed files."""
        known = {segment.name for segment in self._catalog.segments()}
        return segments.remove_orphans(self._directory, known)

    def commit(self, arrived: Sequence[Arrived], now_ns: int) -> Committed:
        """Make ``arrived`` durable; raises StorageFullError or StorageFailedError and changes nothing.

        May be called again with the same frames until it succeeds.
        """
        outcomes = {key: self._absorb(key, group) for key, group in _by_boot(arrived).items()}
        fresh = _fresh_columns(arrived, outcomes)
        segment = self._write(fresh, now_ns)
        with self._catalog.transaction():
            if segment is not None:
                self._catalog.add_segment(segment)
            for key, outcome in outcomes.items():
                if not outcome.refused:
                    self._catalog.save_record(key, outcome.record, now_ns)
                self._catalog.add_due(_summaries(key, outcome))
        return Committed(
            tuple(_watermark(key, outcome.record) for key, outcome in outcomes.items()),
            sum(len(outcome.fresh) for outcome in outcomes.values()),
            sum(columns.samples for columns in fresh),
            frozenset((*key, one) for key, outcome in outcomes.items() for one in outcome.refused),
        )

    def due(self) -> list[InferenceSummarized]:
        """Summaries that the bus has not acknowledged, a bounded number of them."""
        return self._catalog.due(self._settings.summaries_at_once)

    def settle_due(self, summaries: Sequence[InferenceSummarized]) -> None:
        """The bus acknowledged these."""
        with self._catalog.transaction():
            self._catalog.settle_due(summaries)

    def watermarks(self, since_ns: int) -> list[TelemetryStored]:
        """The watermark of every boot that changed since then."""
        return [
            TelemetryStored(robot_id=key[0], boot_id=key[1], sequence=sequence)
            for key, sequence in self._catalog.recent_watermarks(since_ns)
        ]

    def _absorb(self, key: BootKey, frames: list[FrameMoments]) -> Absorbed:
        record = self._catalog.record(key)
        if record is None:
            record = BootRecord()
            if self._catalog.count_boots(key[0]) >= self._settings.boots_per_robot:
                sequences = frozenset(frame.sequence for frame in frames)
                return Absorbed(record, frozenset(), sequences, ())
        return absorb(record, frames)

    def _write(self, fresh: list[Columns], now_ns: int) -> segments.Segment | None:
        if not any(columns.samples for columns in fresh):
            return None
        with naming_errors(f"a segment in {self._directory}"):
            name = segments.name_of(fresh)
            return segments.write(self._directory, name, segments.table_of(fresh), now_ns)


@contextmanager
def naming_errors(what: str) -> Iterator[None]:
    """OSErrors of the disk by their cause: no room, or a directory that cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFullError(f"{what} cannot be written: {error.strerror}.") from error
        raise StorageFailedError(
            f"{what} cannot be written: {error}. Check the disk and its rights."
        ) from error


def _by_boot(arrived: Sequence[Arrived]) -> dict[BootKey, list[FrameMoments]]:
    groups: dict[BootKey, list[FrameMoments]] = {}
    for one in arrived:
        moments = (
            FrameMoments(sequence=one.sequence) if one.columns is None else moments_of(one.columns)
        )
        groups.setdefault((one.robot_id, one.boot_id), []).append(moments)
    return groups


def _fresh_columns(arrived: Sequence[Arrived], outcomes: dict[BootKey, Absorbed]) -> list[Columns]:
    """The columns to write, each frame once, whatever copies came."""
    chosen: dict[FrameKey, Columns] = {}
    for one in arrived:
        is_fresh = one.sequence in outcomes[(one.robot_id, one.boot_id)].fresh
        if is_fresh and one.columns is not None:
            chosen[one.key] = one.columns
    return list(chosen.values())


def _summaries(key: BootKey, outcome: Absorbed) -> list[InferenceSummarized]:
    return [summary_of(*key, number, moments) for number, moments in outcome.closed]


def _watermark(key: BootKey, record: BootRecord) -> TelemetryStored:
    return TelemetryStored(robot_id=key[0], boot_id=key[1], sequence=record.watermark)
