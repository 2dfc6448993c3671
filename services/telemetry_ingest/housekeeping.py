"""Keeps the history within its limits: old segments go, small ones are merged into larger ones.

A merged segment is durable before the catalog names it in place of its sources, and a file is
unlinked one round after the catalog forgot it, so that a running query can finish reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from telemetry_ingest import segments
from telemetry_ingest.catalog import Catalog
from telemetry_ingest.retention import expired, to_merge
from telemetry_ingest.segments import Segment
from telemetry_ingest.settings import Settings
from telemetry_ingest.store import naming_errors


class Round(Struct, frozen=True, kw_only=True):
    """What one round did: how many segments expired, and how many were merged into one."""

    expired: int
    merged: int


class Housekeeping:
    """Works on the same catalog and in the same thread as the Store."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._forgotten: list[Segment] = []

    def round(self, now_ns: int) -> Round:
        """Expire, merge, and unlink what the last round forgot; raises as Store.commit does."""
        self._unlink(self._forgotten)
        self._forgotten = []
        gone = self._expire(now_ns)
        merged = self._merge()
        return Round(expired=len(gone), merged=len(merged))

    def _expire(self, now_ns: int) -> list[Segment]:
        settings = self._settings
        gone = expired(
            self._catalog.segments(), now_ns, settings.keep_segments_s, settings.keep_segment_bytes
        )
        with self._catalog.transaction():
            self._catalog.drop_segments(segment.name for segment in gone)
            self._catalog.forget_boots(now_ns - int(settings.keep_boots_s * 1e9))
        self._forgotten.extend(gone)
        return gone

    def _merge(self) -> list[Segment]:
        settings = self._settings
        sources = to_merge(
            self._catalog.segments(), settings.merge_at_segments, settings.merge_samples
        )
        if not sources:
            return []
        name = sha256("".join(one.name for one in sources).encode()).hexdigest()[:32]
        with naming_errors(f"a merged segment in {settings.segments_dir}"):
            table = self._joined(sources)
            stored_at_ns = max(one.stored_at_ns for one in sources)
            merged = segments.write(
                settings.segments_dir, name + segments.SUFFIX, table, stored_at_ns
            )
        with self._catalog.transaction():
            self._catalog.add_segment(merged)
            self._catalog.drop_segments(one.name for one in sources)
        self._forgotten.extend(sources)
        return sources

    def _joined(self, sources: Sequence[Segment]) -> pa.Table:
        directory = self._settings.segments_dir
        tables = [pq.read_table(directory / one.name, schema=segments.SCHEMA) for one in sources]
        return segments.in_order(pa.concat_tables(tables))

    def _unlink(self, gone: Sequence[Segment]) -> None:
        for segment in gone:
            (self._settings.segments_dir / segment.name).unlink(missing_ok=True)
