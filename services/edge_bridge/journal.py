"""A fact is on the robot's disk, together with what the robot now believes, before anybody hears it.

One SQLite file (WAL, synchronous FULL) holds the memory and the facts not yet acknowledged. They
change in one transaction, so no crash separates "v2 is mine" from "I report that v2 is mine", nor
"v2 is mine" from what another pipeline says that switches with it.
The outbox stays small by itself: a newer check-in, or list of refused recordings, replaces an older
one that was never sent, and the other facts come at most twice per target.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from msgspec import Struct

from edge_bridge.converging.converge import Memory
from edge_bridge.errors import BridgeError
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName
from fleetward.contracts.receipts import SwapReceiptSigned
from fleetward.contracts.recordings import RecordingsRefused
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
)

REPORTED: dict[str, type[Event]] = {
    event.__name__: event
    for event in (
        ActivationFailed,
        ModelActivated,
        ModelFellBack,
        ModelShadowed,
        ModelStaged,
        RecordingsRefused,
        RobotCheckedIn,
        SwapReceiptSigned,
    )
}
_NEWEST_COUNTS = (RecordingsRefused, RobotCheckedIn)
"""Each says all that an older one said."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pipelines (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    traceparent TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS unknown (
    place INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    traceparent TEXT NOT NULL
);
"""
_KNOW_AGAIN = """
BEGIN IMMEDIATE;
INSERT OR IGNORE INTO outbox SELECT * FROM unknown;
DELETE FROM unknown;
COMMIT;
"""
"""A later release of the bridge reports facts that this one does not know, and may be back by now."""


_logger = logging.getLogger(__name__)


class JournalError(BridgeError):
    """The journal cannot be read or written."""


class Unsent(Struct, frozen=True, kw_only=True):
    """A fact on its way out. ``message_id`` is random and the same at every attempt."""

    place: int
    message_id: str
    event: Event
    traceparent: str


class Journal:
    """The robot's memory and outbox in one file. Calls block for an fsync; any thread may call."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA + _KNOW_AGAIN)
        except sqlite3.Error as problem:
            raise JournalError(
                f"the journal {path} cannot be opened: {problem}. Free space on its disk; if the "
                "file is damaged, move it away and the robot takes its target afresh."
            ) from problem

    def memory(self, pipeline: ModelName | None = None) -> Memory:
        """What the robot remembers of one pipeline; an empty Memory on a new robot."""
        with self._lock:
            row = (
                self._database.execute("SELECT body FROM memory")
                if pipeline is None
                else self._database.execute(
                    "SELECT body FROM pipelines WHERE name = ?", (pipeline,)
                )
            ).fetchone()
        return decode(row[0], Memory) if row else Memory()

    def write(
        self,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
        traceparent: str = "",
    ) -> None:
        """Remember, by pipeline, and report: all or nothing. Durable when this returns.

        Raises JournalError.
        """
        with self._transaction():
            for pipeline, memory in memories.items():
                self._remember(memory, pipeline)
            for fact in facts:
                self._append(fact, traceparent)

    def unsent(self, limit: int = 64) -> list[Unsent]:
        """The oldest facts not yet acknowledged, in the order they happened.

        One that this release cannot read is set aside for the release that wrote it. Raises JournalError.
        """
        with self._asked("read"):
            rows = self._database.execute(
                "SELECT place, message_id, kind, body, traceparent FROM outbox "
                "ORDER BY place LIMIT ?",
                (limit,),
            ).fetchall()
        unsent = [
            Unsent(place=place, message_id=message_id, event=event, traceparent=traceparent)
            for place, message_id, kind, body, traceparent in rows
            if (event := _read(kind, body)) is not None
        ]
        self._set_aside({row[0] for row in rows} - {one.place for one in unsent})
        return unsent

    def sent(self, unsent: Unsent) -> None:
        """The server acknowledged it: it need never be sent again. Raises JournalError."""
        with self._transaction():
            self._database.execute("DELETE FROM outbox WHERE place = ?", (unsent.place,))

    def close(self) -> None:
        """Close the file; what was written is durable already."""
        with self._lock:
            self._database.close()

    def _set_aside(self, places: set[int]) -> None:
        """Raises JournalError."""
        if not places:
            return
        log(_logger, "journal.unknown_facts", level=logging.WARNING, facts=len(places))
        with self._transaction():
            for place in places:
                which = (place,)
                self._database.execute(
                    "INSERT INTO unknown SELECT * FROM outbox WHERE place = ?", which
                )
                self._database.execute("DELETE FROM outbox WHERE place = ?", which)

    def _remember(self, memory: Memory, pipeline: ModelName | None) -> None:
        if pipeline is None:
            self._database.execute("INSERT OR REPLACE INTO memory VALUES (1, ?)", (encode(memory),))
        else:
            self._database.execute(
                "INSERT OR REPLACE INTO pipelines VALUES (?, ?)", (pipeline, encode(memory))
            )

    def _append(self, fact: Event, traceparent: str) -> None:
        kind = type(fact).__name__
        if isinstance(fact, _NEWEST_COUNTS):
            self._database.execute("DELETE FROM outbox WHERE kind = ?", (kind,))
        self._database.execute(
            "INSERT INTO outbox (message_id, kind, body, traceparent) VALUES (?, ?, ?, ?)",
            (token_hex(16), kind, encode(fact), traceparent),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, also when the disk refuses the last word of it; raises JournalError."""
        with self._asked("written"):
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite may have ended it by itself
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _asked(self, how: str) -> Iterator[None]:
        """For one thread at a time."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as problem:
                raise JournalError(
                    f"the journal cannot be {how}: {problem}. Free space on the robot's disk."
                ) from problem


def _read(kind: str, body: bytes) -> Event | None:
    """None: this release does not know such a fact."""
    if kind not in REPORTED:
        return None
    try:
        return decode(body, REPORTED[kind])
    except UnreadableMessageError:
        return None
