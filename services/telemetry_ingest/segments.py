"""Writes sorted Parquet segments that are either wholly on disk or not there at all.

A segment is written beside its place, fsynced, renamed, and its directory fsynced. One that the
catalog does not name was never acknowledged and is removed at the next start.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from numpy.typing import NDArray

from telemetry_ingest.columns import Columns

SUFFIX = ".parquet"
UNFINISHED_SUFFIX = ".unfinished"
COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
ROW_GROUP_ROWS = 128 * 1024
SORTED_BY = ("signal", "robot_id", "at_ns")

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("signal", _NAME),
        ("robot_id", _NAME),
        ("at_ns", pa.int64()),
        ("value", pa.float64()),
        ("attributes", _NAME),
        ("boot_id", _NAME),
        ("sequence", pa.int64()),
    ]
)


class Segment(Struct, frozen=True, kw_only=True):
    """What the catalog knows of a segment. Times are unix ns, both ends inclusive.

    ``start_ns`` and ``end_ns`` are of the robots' clocks, ``stored_at_ns`` is of ours.
    """

    name: str
    start_ns: int
    end_ns: int
    stored_at_ns: int
    samples: int
    size_bytes: int
    robots: tuple[str, ...]
    signals: tuple[str, ...]


def name_of(frames: Iterable[Columns]) -> str:
    """A name made from the frames alone: a write that is repeated replaces its first try."""
    keys = sorted((c.frame.robot_id, c.frame.boot_id, c.frame.sequence) for c in frames)
    return sha256(msgspec.msgpack.encode(keys)).hexdigest()[:32] + SUFFIX


def table_of(frames: Sequence[Columns]) -> pa.Table:
    """All samples of ``frames`` as one table of SCHEMA, in the order of SORTED_BY."""
    lengths = [columns.samples for columns in frames]
    series = [
        (one.signal, msgspec.json.encode(dict(sorted(one.attributes.items()))).decode())
        for columns in frames
        for one in columns.frame.series
    ]
    at_series = _series_positions(frames)
    signal, signals = _codes([pair[0] for pair in series])
    attribute, attributes = _codes([pair[1] for pair in series])
    robot, robots = _codes([columns.frame.robot_id for columns in frames])
    boot, boots = _codes([columns.frame.boot_id for columns in frames])
    robot_of = np.repeat(robot, lengths)
    at_ns = _joined([columns.at_ns for columns in frames], np.int64)
    order = np.lexsort((at_ns, robot_of, signal[at_series]))
    sequences = np.repeat(np.array([c.frame.sequence for c in frames], dtype=np.int64), lengths)
    arrays = [
        pa.DictionaryArray.from_arrays(signal[at_series][order], signals),
        pa.DictionaryArray.from_arrays(robot_of[order], robots),
        pa.array(at_ns[order]),
        pa.array(_joined([columns.values for columns in frames], np.float64)[order]),
        pa.DictionaryArray.from_arrays(attribute[at_series][order], attributes),
        pa.DictionaryArray.from_arrays(np.repeat(boot, lengths)[order], boots),
        pa.array(sequences[order]),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def in_order(table: pa.Table) -> pa.Table:
    """The rows of ``table`` in the order of SORTED_BY; equal ones keep their places."""
    whole = table.unify_dictionaries().combine_chunks()
    keys = [_sort_key(whole.column(name).combine_chunks()) for name in reversed(SORTED_BY)]
    return whole.take(np.lexsort(keys))


def write(directory: Path, name: str, table: pa.Table, stored_at_ns: int) -> Segment:
    """Make ``table`` durable as ``directory/name``; raises OSError and leaves no part behind."""
    place = directory / name
    unfinished = place.with_suffix(UNFINISHED_SUFFIX)
    try:
        with unfinished.open("wb") as file:
            pq.write_table(
                table,
                file,
                compression=COMPRESSION,
                compression_level=COMPRESSION_LEVEL,
                row_group_size=ROW_GROUP_ROWS,
            )
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        unfinished.replace(place)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    return _described(name, table, size_bytes, stored_at_ns)


def remove_orphans(directory: Path, known: Collection[str]) -> list[str]:
    """Delete every file that the catalog does not name; returns their names."""
    orphans = sorted(file.name for file in directory.iterdir() if file.name not in known)
    for name in orphans:
        (directory / name).unlink()
    return orphans


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(name: str, table: pa.Table, size_bytes: int, stored_at_ns: int) -> Segment:
    at_ns = table.column("at_ns").to_numpy()
    return Segment(
        name=name,
        start_ns=int(at_ns.min()),
        end_ns=int(at_ns.max()),
        stored_at_ns=stored_at_ns,
        samples=len(at_ns),
        size_bytes=size_bytes,
        robots=_distinct(table, "robot_id"),
        signals=_distinct(table, "signal"),
    )


def _distinct(table: pa.Table, column: str) -> tuple[str, ...]:
    return tuple(sorted(table.column(column).unique().to_pylist()))


def _series_positions(frames: Sequence[Columns]) -> NDArray[np.int64]:
    """Each sample's position in the list of all frames' series, one after another."""
    starts = np.cumsum([0, *(len(columns.frame.series) for columns in frames)])
    return _joined(
        [columns.series_index + start for columns, start in zip(frames, starts, strict=False)],
        np.int64,
    )


def _sort_key(column: pa.Array) -> NDArray[Any]:
    """Numbers that sort as the column does; pyarrow sorts no dictionary columns."""
    if not pa.types.is_dictionary(column.type):
        return np.asarray(column)
    rank = np.empty(len(column.dictionary), dtype=np.int32)
    rank[np.argsort(np.array(column.dictionary.to_pylist(), dtype=object))] = np.arange(len(rank))
    ranks: NDArray[np.int32] = rank[np.asarray(column.indices)]
    return ranks


def _codes(names: Sequence[str]) -> tuple[NDArray[np.int32], pa.Array]:
    """Each name's rank among the distinct ones, and those: ranks sort as the names do."""
    distinct = sorted(set(names))
    rank = {name: place for place, name in enumerate(distinct)}
    return np.array([rank[name] for name in names], dtype=np.int32), pa.array(distinct, pa.string())


def _joined(arrays: list[NDArray[Any]], item: type[Any]) -> NDArray[Any]:
    return np.concatenate(arrays).astype(item, copy=False)
