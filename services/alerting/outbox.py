"""Notifications that are due, on disk before the fact is published, gone once delivered."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from msgspec import Struct

from fleetward.contracts.errors import FleetwardError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notification (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    UNIQUE (id, url)
)
"""


class OutboxError(FleetwardError):
    """A notification could not be kept on disk."""


class Notification(Struct, frozen=True):
    """One delivery that is due to one receiver. ``attempts`` were made so far."""

    number: int
    id: str
    body: bytes
    attempts: int


class Outbox:
    """A SQLite file; every change is fsynced before the call returns."""

    def __init__(self, path: Path, *, max_waiting: int, kept_failures: int) -> None:
        self._max_waiting = max_waiting
        self._kept_failures = kept_failures
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(_SCHEMA)

    def add(self, identity: str, url: str, body: bytes) -> int:
        """Keep a notification once; the same id and receiver again changes nothing.

        Returns how many of the oldest had to be given up to make room: a dead receiver may lose
        notices, never hold up an alert. Raises OutboxError when the file cannot be written.
        """
        try:
            self._database.execute(
                "INSERT OR IGNORE INTO notification (id, url, body) VALUES (?, ?, ?)",
                (identity, url, body),
            )
            return self._database.execute(
                "UPDATE notification SET failure = 'too many were waiting'"
                " WHERE url = ? AND failure IS NULL AND number NOT IN"
                " (SELECT number FROM notification WHERE url = ? AND failure IS NULL"
                " ORDER BY number DESC LIMIT ?)",
                (url, url, self._max_waiting),
            ).rowcount
        except sqlite3.Error as error:
            raise OutboxError(f"the outbox cannot be written: {error}. Free disk space.") from error

    def next_for(self, url: str) -> Notification | None:
        """The oldest notification that is due to a receiver."""
        row = self._database.execute(
            "SELECT number, id, body, attempts FROM notification"
            " WHERE url = ? AND failure IS NULL ORDER BY number LIMIT 1",
            (url,),
        ).fetchone()
        return None if row is None else Notification(*row)

    def delivered(self, notification: Notification) -> None:
        """The receiver has it."""
        self._database.execute("DELETE FROM notification WHERE number = ?", (notification.number,))

    def tried(self, notification: Notification) -> None:
        """One attempt more, to be repeated."""
        self._database.execute(
            "UPDATE notification SET attempts = attempts + 1 WHERE number = ?",
            (notification.number,),
        )

    def given_up(self, notification: Notification, reason: str) -> None:
        """It will not be tried again; the last ``kept_failures`` stay for a person to look at."""
        self._database.execute(
            "UPDATE notification SET attempts = attempts + 1, failure = ? WHERE number = ?",
            (reason, notification.number),
        )
        self._database.execute(
            "DELETE FROM notification WHERE failure IS NOT NULL AND number NOT IN"
            " (SELECT number FROM notification WHERE failure IS NOT NULL"
            " ORDER BY number DESC LIMIT ?)",
            (self._kept_failures,),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()
