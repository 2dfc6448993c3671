"""Telemetry waits here until it is stored at the other end; a full spool thins its oldest half, step by step.

A frame is numbered when it is first sent, not when it is made. So frames may be thinned while
they wait and the numbers that leave the robot still have no gap, which is what the watermark of
telemetry-ingest counts on. SQLite in WAL mode, synchronous FULL: neither a kill nor a power cut loses a
frame that was appended, and a number that was sent never comes to name another frame.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.errors import BridgeError
from edge_bridge.telemetry.thinning import LOOKED_AT_ONCE, Thinning, thinned
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import BootId
from fleetward.contracts.telemetry import TelemetryFrame

_SCHEMA = """
CREATE TABLE IF NOT EXISTS frames (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    boot TEXT NOT NULL,
    sequence INTEGER,
    started_at_ns INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS numbered ON frames (boot, sequence) WHERE sequence IS NOT NULL;
CREATE TABLE IF NOT EXISTS boots (boot TEXT PRIMARY KEY, last_sequence INTEGER NOT NULL);
"""
_LOG_BYTES = 4 * 1024 * 1024
"""What SQLite's log ever grew to is given back down to this."""
_UNNUMBERED = "sequence IS NULL"


class SpoolError(BridgeError):
    """The spool cannot be read or written."""


class Waiting(Struct, frozen=True):
    """A numbered frame that is not known to be stored. ``place`` orders all boots' frames."""

    place: int
    frame: TelemetryFrame
    size_bytes: int


class Stored(Struct, frozen=True):
    """The hub has this boot's frames up to ``sequence``; none past ``sent_place`` was ever sent.

    ``sent_place`` keeps a watermark that runs ahead of us from erasing what was never sent.
    """

    boot: BootId
    sequence: int
    sent_place: int


class Spool:
    """Frames of this boot and of those before it. Any thread may call."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._lock = threading.Lock()
        self._limit_bytes = limit_bytes
        self.frames_thinned = 0
        """Frames given up since this process started, because the spool was full."""
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
            self._database.executescript(_SCHEMA)
            self._database.execute(
                "DELETE FROM boots WHERE boot NOT IN (SELECT DISTINCT boot FROM frames)"
            )
        except sqlite3.Error as problem:
            raise SpoolError(
                f"the spool {path} cannot be opened: {problem}. Free space on its disk; if the "
                "file is damaged, move it away: only telemetry is in it."
            ) from problem
        self.size_bytes = self._measured_bytes()
        self._thinning: Thinning | None = None
        self.last_place = self._last_place()
        """No frame has a later one."""
        self.waiting_since_ns = self._oldest_started_at_ns()
        """Unix ns: when the oldest frame began that was not stored when the newest came; None: all were."""
        self.frames_forgotten = 0
        """Since this process started: the hub has them."""
        self._newest: tuple[int, Waiting] | None = None

    def append(
        self, frame: TelemetryFrame, number_up_to: int = 0, stored: Sequence[Stored] = ()
    ) -> int:
        """Keep ``frame`` (its sequence is ignored); return how many frames were thinned for it.

        One that ``waiting`` would number at once is numbered here, and what the hub has is forgotten, by the
        same write to the disk.
        """
        body = encode(frame)
        with self._locked():
            given_up = self._make_room(len(body))
            with self._transaction():
                forgotten = [size_bytes for one in stored for size_bytes in self._forget(one)]
                since_ns = self._oldest_started_at_ns()
                place = self._insert(frame, body)
                numbers = self._number(self._fresh(number_up_to))
            self.size_bytes += len(body)
            self._forgot(forgotten, since_ns)
            before, self.last_place, self._newest = self.last_place, place, None
            if place in numbers:
                numbered = replace(frame, sequence=numbers[place])
                self._newest = before, Waiting(place, numbered, len(body))
        return given_up

    def take_newest(self, after_place: int) -> Waiting | None:
        """The newest frame, once, where no other waits past ``after_place``: the disk need not be read."""
        newest, self._newest = self._newest, None
        return newest[1] if newest is not None and newest[0] <= after_place else None

    def waiting(self, after_place: int, limit: int, number_up_to: int) -> list[Waiting]:
        """The oldest frames past ``after_place``, numbered on the way.

        At most ``number_up_to`` frames are numbered and not yet stored at any time: those can no
        longer be thinned.
        """
        with self._locked():
            if fresh := self._fresh(number_up_to):
                with self._transaction():
                    self._number(fresh)
            rows = self._database.execute(
                f"SELECT place, sequence, body FROM frames WHERE NOT {_UNNUMBERED} "  # noqa: S608 (a constant)
                "AND place > ? ORDER BY place LIMIT ?",
                (after_place, limit),
            ).fetchall()
        return [
            Waiting(place, replace(decode(body, TelemetryFrame), sequence=sequence), len(body))
            for place, sequence, body in rows
        ]

    def stored(self, boot: BootId, sequence: int, sent_place: int) -> int:
        """Forget what the hub has; return how many frames. See ``Stored``.

        The disk is not waited for: what a power cut brings back is sent once more, and the hub drops copies.
        """
        with self._locked(), self._unsynced():
            forgotten = self._forget(Stored(boot, sequence, sent_place))
            self._forgot(forgotten, self._oldest_started_at_ns())
        return len(forgotten)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One thread at a time; what SQLite raises becomes a SpoolError and changes nothing."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as problem:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise SpoolError(
                    f"the telemetry spool failed: {problem}. Free space on the robot's disk."
                ) from problem

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One write to the disk, whole or not at all; ``_locked`` takes back what failed."""
        self._database.execute("BEGIN IMMEDIATE")
        yield
        self._database.execute("COMMIT")

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """What is written here reaches the disk with the next write that is synced."""
        self._database.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            self._database.execute("PRAGMA synchronous=FULL")

    def _insert(self, frame: TelemetryFrame, body: bytes) -> int:
        """Its place."""
        return int(
            self._database.execute(
                "INSERT INTO frames (boot, started_at_ns, body) VALUES (?, ?, ?)",
                (frame.boot_id, frame.started_at_ns, body),
            ).lastrowid
            or 0
        )

    def _forget(self, stored: Stored) -> list[int]:
        """The size of each frame that is gone."""
        gone = self._database.execute(
            "DELETE FROM frames WHERE boot = ? AND sequence <= ? AND place <= ? "
            "RETURNING length(body)",
            (stored.boot, stored.sequence, stored.sent_place),
        )
        return [size_bytes for (size_bytes,) in gone]

    def _forgot(self, sizes_bytes: Sequence[int], since_ns: int | None) -> None:
        self.size_bytes -= sum(sizes_bytes)
        self.frames_forgotten += len(sizes_bytes)
        self.waiting_since_ns = since_ns

    def _fresh(self, number_up_to: int) -> list[tuple[int, BootId]]:
        """Place and boot of the oldest frames that may get a number now.

        Those with a number are the oldest of all, so neither question looks at more of them than it names:
        after days without a hub there are many thousands that have none.
        """
        if number_up_to <= 0:
            return []
        (numbered,) = self._database.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM frames WHERE NOT {_UNNUMBERED} "  # noqa: S608 (a constant)
            "ORDER BY place LIMIT ?)",
            (number_up_to,),
        ).fetchone()
        if numbered >= number_up_to:
            return []
        return self._database.execute(
            f"SELECT place, boot FROM frames WHERE {_UNNUMBERED} ORDER BY place LIMIT ?",  # noqa: S608 (a constant)
            (number_up_to - numbered,),
        ).fetchall()

    def _number(self, fresh: list[tuple[int, BootId]]) -> dict[int, int]:
        """The number of each place that got one."""
        numbers = {}
        for place, boot in fresh:
            (numbers[place],) = self._database.execute(
                "INSERT INTO boots VALUES (?, 1) ON CONFLICT (boot) "
                "DO UPDATE SET last_sequence = last_sequence + 1 RETURNING last_sequence",
                (boot,),
            ).fetchone()
            self._database.execute(
                "UPDATE frames SET sequence = ? WHERE place = ?", (numbers[place], place)
            )
        return numbers

    def _make_room(self, wanted_bytes: int) -> int:
        """Thin by as many steps as are needed, in general one or none; the next frame goes on there."""
        given_up = 0
        while self.size_bytes + wanted_bytes > self._limit_bytes:
            thinning = self._thinning or Thinning(self.size_bytes // 2)
            oldest = self._database.execute(
                f"SELECT place, length(body) FROM frames WHERE {_UNNUMBERED} AND place > ? "  # noqa: S608 (a constant)
                "ORDER BY place LIMIT ?",
                (thinning.place, LOOKED_AT_ONCE),
            ).fetchall()
            if not oldest and not thinning.place:
                break
            step = thinned(thinning, oldest)
            given_up += self._drop(step.doomed)
            self._thinning = step.then
        self.frames_thinned += given_up
        return given_up

    def _drop(self, places: Sequence[int]) -> int:
        """Synced once; how many."""
        with self._transaction():
            sizes = [
                size_bytes
                for place in places
                for (size_bytes,) in self._database.execute(
                    "DELETE FROM frames WHERE place = ? RETURNING length(body)", (place,)
                )
            ]
        self.size_bytes -= sum(sizes)
        return len(sizes)

    def _measured_bytes(self) -> int:
        (size_bytes,) = self._database.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM frames"
        ).fetchone()
        return int(size_bytes)

    def _last_place(self) -> int:
        (place,) = self._database.execute("SELECT coalesce(max(place), 0) FROM frames").fetchone()
        return int(place)

    def _oldest_started_at_ns(self) -> int | None:
        row = self._database.execute(
            "SELECT started_at_ns FROM frames ORDER BY place LIMIT 1"
        ).fetchone()
        return int(row[0]) if row else None
