"""A little of the disk that a bridge keeps back, to start on one that other programs filled to the last byte."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edge_bridge.errors import BridgeError
from fleetward.bus.logs import log

RESERVE_BYTES = 1024 * 1024
"""SQLite makes two files beside each of its own when it opens one: together some hundred KiB."""
STEP_BYTES = 64 * 1024
"""Where there is no room for all of it, so much less is tried."""

_logger = logging.getLogger(__name__)
_Opened = TypeVar("_Opened")


class Reserve:
    """A file that is nothing but room, given up for as long as it takes to open files, and made anew then."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def opened(self, open_files: Callable[[], _Opened]) -> _Opened:
        """What ``open_files`` returns; when it fails, again with the room of the reserve.

        Raises what ``open_files`` raises, a BridgeError, if that was not for want of so little room.
        """
        try:
            return open_files()
        except BridgeError as problem:
            if not self._given_up():
                raise
            log(_logger, "reserve.given_up", level=logging.WARNING, problem=str(problem))
            return open_files()
        finally:
            self.keep()

    def keep(self) -> None:
        """As much as is left of the disk at most: then nothing else has room either.

        Also once the files are closed: what SQLite gives back then is what the next start needs.
        """
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            kept_bytes = _allocated(descriptor)
        finally:
            os.close(descriptor)
        if kept_bytes < RESERVE_BYTES:
            log(_logger, "reserve.small", level=logging.WARNING, bytes=kept_bytes)

    def _given_up(self) -> bool:
        """Whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def _allocated(descriptor: int) -> int:
    for size_bytes in range(RESERVE_BYTES, 0, -STEP_BYTES):
        with suppress(OSError):
            os.posix_fallocate(descriptor, 0, size_bytes)
            return size_bytes
    return 0
