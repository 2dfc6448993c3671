"""What is durable: which segments exist, which frames they hold, which summaries are still due.

One SQLite transaction is the moment at which frames count as stored. Before it, a segment is an
orphan; after it, the frames are never stored again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import InferenceSummarized
from telemetry_ingest.boots import BootRecord
from telemetry_ingest.errors import StorageFailedError, StorageFullError
from telemetry_ingest.segments import Segment

FILE_NAME = "catalog.sqlite"
BUSY_TIMEOUT_MS = 10_000

BootKey = tuple[RobotId, BootId]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment(
    name TEXT PRIMARY KEY, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
    stored_at_ns INTEGER NOT NULL, samples INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
    robots TEXT NOT NULL, signals TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS segment_by_time ON segment(end_ns);
CREATE TABLE IF NOT EXISTS boot(
    robot_id TEXT NOT NULL, boot_id TEXT NOT NULL, record BLOB NOT NULL,
    changed_at_ns INTEGER NOT NULL, PRIMARY KEY(robot_id, boot_id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due_summary(
    robot_id TEXT NOT NULL, boot_id TEXT NOT NULL, number INTEGER NOT NULL, summary BLOB NOT NULL,
    PRIMARY KEY(robot_id, boot_id, number)) STRICT, WITHOUT ROWID;
"""


class Catalog:
    """The SQLite file of one telemetry-ingest; one writer, used from one thread at a time."""

    def __init__(self, directory: Path) -> None:
        with _named_errors(directory):
            self._database = apsw.Connection(str(directory / FILE_NAME))
            self._database.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            self._database.execute(_SCHEMA)
        self._directory = directory

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or none of it, on disk when it ends; raises StorageFullError."""
        with _named_errors(self._directory), self._database:
            yield

    def record(self, key: BootKey) -> BootRecord | None:
        """What is remembered of a boot."""
        rows = self._rows("SELECT record FROM boot WHERE robot_id = ? AND boot_id = ?", key)
        return decode(rows[0][0], BootRecord) if rows else None

    def count_boots(self, robot_id: RobotId) -> int:
        """How many boots of a robot are remembered."""
        return int(self._rows("SELECT count(*) FROM boot WHERE robot_id = ?", (robot_id,))[0][0])

    def save_record(self, key: BootKey, record: BootRecord, now_ns: int) -> None:
        """Remember a boot as of now."""
        self._database.execute(
            "INSERT OR REPLACE INTO boot VALUES (?, ?, ?, ?)", (*key, encode(record), now_ns)
        )

    def recent_watermarks(self, since_ns: int) -> list[tuple[BootKey, int]]:
        """The watermark of every boot that changed since then."""
        rows = self._rows(
            "SELECT robot_id, boot_id, record FROM boot WHERE changed_at_ns >= ?", (since_ns,)
        )
        return [((row[0], row[1]), decode(row[2], BootRecord).watermark) for row in rows]

    def forget_boots(self, before_ns: int) -> None:
        """Drop what is remembered of boots that have not changed since then."""
        self._database.execute("DELETE FROM boot WHERE changed_at_ns < ?", (before_ns,))

    def add_segment(self, segment: Segment) -> None:
        """Name a segment that is already on disk."""
        self._database.execute(
            "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                segment.name,
                segment.start_ns,
                segment.end_ns,
                segment.stored_at_ns,
                segment.samples,
                segment.size_bytes,
                msgspec.json.encode(segment.robots).decode(),
                msgspec.json.encode(segment.signals).decode(),
            ),
        )

    def drop_segments(self, names: Iterable[str]) -> None:
        """Forget segments; their files are removed afterwards."""
        self._database.executemany(
            "DELETE FROM segment WHERE name = ?", [(name,) for name in names]
        )

    def segments(self) -> list[Segment]:
        """Every segment, the one that was stored first at the front."""
        return [_segment(row) for row in self._rows(_ALL_SEGMENTS)]

    def segments_with(
        self, signal: str, robot_id: RobotId | None, start_ns: int, end_ns: int
    ) -> list[str]:
        """The names of segments that may hold this signal in [start_ns, end_ns)."""
        wanted = {"signal": signal, "robot": robot_id, "start": start_ns, "end": end_ns}
        return [str(row[0]) for row in self._rows(_SEGMENTS_WITH, wanted)]

    def add_due(self, summaries: Iterable[InferenceSummarized]) -> None:
        """Owe the bus these summaries."""
        self._database.executemany(
            "INSERT OR REPLACE INTO due_summary VALUES (?, ?, ?, ?)",
            [(one.robot_id, one.boot_id, one.window, encode(one)) for one in summaries],
        )

    def due(self, limit: int) -> list[InferenceSummarized]:
        """At most ``limit`` summaries that the bus has not acknowledged."""
        rows = self._rows(
            "SELECT summary FROM due_summary ORDER BY robot_id, boot_id, number LIMIT ?", (limit,)
        )
        return [decode(row[0], InferenceSummarized) for row in rows]

    def settle_due(self, summaries: Sequence[InferenceSummarized]) -> None:
        """The bus has these; they are no longer owed."""
        self._database.executemany(
            "DELETE FROM due_summary WHERE robot_id = ? AND boot_id = ? AND number = ?",
            [(one.robot_id, one.boot_id, one.window) for one in summaries],
        )

    def _rows(
        self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        """Any: a column's type is what its STRICT table says."""
        with _named_errors(self._directory):
            return self._database.execute(query, parameters).fetchall()


_ALL_SEGMENTS = """
SELECT name, start_ns, end_ns, stored_at_ns, samples, size_bytes, robots, signals FROM segment
ORDER BY stored_at_ns, name"""

_SEGMENTS_WITH = """
SELECT name FROM segment WHERE end_ns >= :start AND start_ns < :end
AND EXISTS (SELECT 1 FROM json_each(signals) WHERE value = :signal)
AND (:robot IS NULL OR EXISTS (SELECT 1 FROM json_each(robots) WHERE value = :robot))
ORDER BY start_ns, name"""


def _segment(row: tuple[Any, ...]) -> Segment:  # Any: see Catalog._rows
    name, start_ns, end_ns, stored_at_ns, samples, size_bytes, robots, signals = row
    return msgspec.convert(
        {
            "name": name,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "stored_at_ns": stored_at_ns,
            "samples": samples,
            "size_bytes": size_bytes,
            "robots": msgspec.json.decode(robots),
            "signals": msgspec.json.decode(signals),
        },
        Segment,
    )


@contextmanager
def _named_errors(directory: Path) -> Iterator[None]:
    """SQLite's errors by their cause: no room, or a directory that cannot be written."""
    try:
        yield
    except apsw.FullError as error:
        raise StorageFullError(f"the catalog in {directory} cannot grow: {error}.") from error
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise StorageFailedError(
            f"the catalog in {directory} cannot be written: {error}. Check the disk and its rights."
        ) from error
