"""Answers questions about stored samples: DuckDB, in memory, reads the segments on disk.

What a caller sends reaches SQL as parameters only. DuckDB is imported at the first question: a
service that nobody asks does not pay its memory.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.telemetry import QueryTelemetry, Sample, TelemetryQueried
from telemetry_ingest.catalog import Catalog
from telemetry_ingest.errors import QueryRefusedError, StorageFailedError
from telemetry_ingest.settings import Settings

if TYPE_CHECKING:
    import duckdb

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MOST_TRIES = 3

_MATCHED = """
FROM read_parquet($files)
WHERE signal = $signal AND ($robot::VARCHAR IS NULL OR robot_id = $robot::VARCHAR)
AND at_ns >= $start AND at_ns < $end"""
_COUNT = "SELECT count(*)" + _MATCHED
_SAMPLES = (
    "SELECT robot_id, attributes, at_ns, value"
    + _MATCHED
    + " ORDER BY at_ns, robot_id, attributes, boot_id, sequence LIMIT $limit"
)


class Reader:
    """Reads what is durable. Used from one thread at a time; sees each finished commit whole."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalog = Catalog(settings.state_dir)
        self._engine: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Release the catalog and the engine."""
        self._catalog.close()
        if self._engine is not None:
            self._engine.close()

    def answer(self, query: QueryTelemetry) -> TelemetryQueried:
        """The oldest ``limit`` samples of the signal in [start, end), and how many match in all.

        Only durable samples are seen: one still in the write buffer (at most about a second old)
        is not. Fewer than ``limit`` come back when the reply would be too large for one message.
        Raises QueryRefusedError for a query outside the limits.
        """
        self._check(query)
        matched, rows = self._read(query)
        return TelemetryQueried(samples=self._fitting(query.signal, rows), matched=matched)

    def _check(self, query: QueryTelemetry) -> None:
        most = self._settings.query_samples
        if not 1 <= query.limit <= most:
            raise QueryRefusedError(
                f"limit {query.limit} is outside 1..{most}. Ask for less, and again from the last "
                "sample's time on."
            )
        if query.start >= query.end:
            raise QueryRefusedError(
                f"start {query.start} is not before end {query.end}. Swap or widen them."
            )

    def _read(self, query: QueryTelemetry) -> tuple[int, list[tuple[Any, ...]]]:
        """Tried again when a segment was merged away between looking it up and reading it."""
        import duckdb  # at the first question only

        for _ in range(_MOST_TRIES):
            try:
                return self._run(query)
            except duckdb.IOException as error:
                problem = error
        raise StorageFailedError(
            f"the segments in {self._settings.segments_dir} cannot be read: {problem}."
        )

    def _run(self, query: QueryTelemetry) -> tuple[int, list[tuple[Any, ...]]]:
        start_ns, end_ns = nanoseconds(query.start), nanoseconds(query.end)
        files = self._files(query.signal, query.robot_id, start_ns, end_ns)
        if not files:
            return 0, []
        wanted = {
            "files": files,
            "signal": query.signal,
            "robot": query.robot_id,
            "start": start_ns,
            "end": end_ns,
        }
        engine = self._started()
        counted = engine.execute(_COUNT, wanted).fetchall()
        rows = engine.execute(_SAMPLES, {**wanted, "limit": query.limit}).fetchall()
        return int(counted[0][0]), rows

    def _files(
        self, signal: str, robot_id: RobotId | None, start_ns: int, end_ns: int
    ) -> list[str]:
        names = self._catalog.segments_with(signal, robot_id, start_ns, end_ns)
        return [str(self._settings.segments_dir / name) for name in names]

    def _started(self) -> duckdb.DuckDBPyConnection:
        if self._engine is None:
            import duckdb  # at the first question only

            self._engine = duckdb.connect(
                ":memory:",
                config={
                    "threads": 1,
                    "memory_limit": f"{self._settings.query_memory_bytes // 2**20}MiB",
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        return self._engine

    def _fitting(self, signal: str, rows: list[tuple[Any, ...]]) -> tuple[Sample, ...]:
        samples: list[Sample] = []
        left_bytes = self._settings.query_reply_bytes
        for robot_id, attributes, at_ns, value in rows:
            sample = Sample(
                robot_id=RobotId(robot_id),
                signal=signal,
                attributes=msgspec.json.decode(attributes, type=dict[str, str]),
                at_ns=at_ns,
                value=value,
            )
            left_bytes -= len(encode(sample))
            if left_bytes < 0:
                break
            samples.append(sample)
        return tuple(samples)


def nanoseconds(at: datetime) -> int:
    """Unix time in nanoseconds, exact to the microsecond."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1_000
