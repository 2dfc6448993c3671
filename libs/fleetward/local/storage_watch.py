"""A bus that could not write takes facts again by itself once its disk has room.

After one failed write a stream of nats-server refuses everything until the server is started
again, also when there is room long since. It says so in its log, and there alone without a
monitoring port that anybody on the machine could read.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from fleetward.local.happenings import Report, StorageFailed

LOOK_EVERY_S = 0.5
ROOM_BYTES = 16 * 1024 * 1024
"""So much must be free before a restart is worth trying."""
RESTART_SPACING_S = 12.0
"""Longer than a life counts as settled: the delay before the next start stays short."""
READ_BYTES = 1024 * 1024
_COULD_NOT_WRITE = b"critical write error"


class StorageWatch:
    """Follows the log of the server ``name``, which writes below ``directory``."""

    def __init__(
        self, name: str, log: Path, directory: Path, restart: Callable[[], object], report: Report
    ) -> None:
        self._name = name
        self._log = log
        self._directory = directory
        self._restart = restart
        self._report = report
        self._read_to = log.stat().st_size if log.exists() else 0

    async def run(self) -> None:
        """Watch for ever."""
        broken = False
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            failed = self._could_not_write()
            if failed and not broken:
                self._report(StorageFailed(name=self._name, directory=self._directory))
            broken = broken or failed
            if broken and shutil.disk_usage(self._directory).free >= ROOM_BYTES:
                broken = False
                self._restart()
                await asyncio.sleep(RESTART_SPACING_S)

    def _could_not_write(self) -> bool:
        """Whether the log told of a failed write since the last look."""
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            words = log.read(READ_BYTES)
        self._read_to += len(words)
        return _COULD_NOT_WRITE in words.lower()
