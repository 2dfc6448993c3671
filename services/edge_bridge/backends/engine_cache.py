"""The engines on a robot's disk: each is this robot's own and whole, or it is not used.

Nothing is deserialised that was not sealed here, for this model, these settings and this hardware.
What is refused is removed and built again from the ONNX model, which the registry signed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from edge_bridge.backends.engine_key import sealing_key
from edge_bridge.backends.sealed import SealError, opened, sealed
from edge_bridge.errors import DiskFailedError, DiskFullError
from edge_bridge.files import Disk, Files
from fleetward.engines.recipe import EngineKey
from fleetward.trust.private_files import make_private_dir

MAX_ENGINES = 6
"""The one that serves, the one before, one to come, and as many again; the least used goes."""
MAX_FILE_BYTES = 4 * 1024**3

MAX_OFFERS = 2
"""Engines that wait to be sent to where twins find them; the oldest goes."""

_ENGINE = ".engine"
OFFER = ".offer"
_TIMING = ".timing"


class Held(Struct, frozen=True, kw_only=True):
    """What is kept under a key: its bytes, or None. refused: why what was there is not used."""

    content: memoryview | None = None
    refused: str = ""


class EngineCache:
    """A directory (0700) of ``<hex>.engine`` and ``<hex>.timing``, a key and a lock."""

    def __init__(self, directory: Path, reserve_bytes: int = 0, disk: Disk | None = None) -> None:
        """``reserve_bytes`` stay free on the disk.

        Raises OSError when the directory cannot be made, its lock or its key not be used.
        """
        self._directory = make_private_dir(directory)
        self._reserve_bytes = reserve_bytes
        self._files = Files(disk or Disk())
        with self.locked():
            self._key, self.key_remade = sealing_key(directory / "key")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone of all workers of this robot: two would build the same engine at once."""
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def engine(self, key: EngineKey) -> Held:
        """The engine with this key."""
        return self._held(self._engine_path(key), key.content)

    def keep_engine(self, key: EngineKey, engine: bytes) -> str:
        """Keep it in place of the least used ones; the reason, when the disk does not take it."""
        reason = self._keep(self._engine_path(key), key.content, engine)
        self._forget_least_used(self._engine_path(key))
        return reason

    def forget_engine(self, key: EngineKey) -> None:
        """It is of no use although it is this robot's own."""
        self._remove(self._engine_path(key))

    def keep_offer(self, key: EngineKey, whole: bytes) -> str:
        """Leave a file for twins, for the bridge to send; the reason, when the disk does not take it.

        Its name says engine and model, each in hex.
        """
        engine, model = (name.partition(":")[2] for name in (key.name, key.model))
        reason = self._write(self._directory / f"{engine}.{model}{OFFER}", whole)
        offers = sorted(self._directory.glob(f"*{OFFER}"), key=lambda path: path.stat().st_mtime_ns)
        for path in offers[:-MAX_OFFERS]:
            self._remove(path)
        return reason

    def timing(self, label: bytes, name: str) -> Held:
        """What was measured on this hardware, by the name of what it depends on."""
        return self._held(self._directory / f"{name}{_TIMING}", label)

    def keep_timing(self, label: bytes, name: str, timing: bytes) -> str:
        """Keep what a build measured; the reason, when the disk does not take it."""
        return self._keep(self._directory / f"{name}{_TIMING}", label, timing)

    def _engine_path(self, key: EngineKey) -> Path:
        return self._directory / f"{key.name.partition(':')[2]}{_ENGINE}"

    def _held(self, path: Path, label: bytes) -> Held:
        """The bytes that are verified are the bytes that are handed out: the file is read once."""
        try:
            whole = read_whole(path)
            if whole is None:
                return Held()
            content = opened(self._key, label, whole)
            os.utime(path)
        except SealError as problem:
            self._remove(path)
            return Held(refused=str(problem))
        except OSError as problem:
            self._remove(path)
            return Held(refused=f"it cannot be read: {problem}")
        return Held(content=content)

    def _keep(self, path: Path, label: bytes, content: bytes) -> str:
        return self._write(path, sealed(self._key, label, content))

    def _write(self, path: Path, whole: bytes) -> str:
        free_bytes = shutil.disk_usage(self._directory).free
        if free_bytes - len(whole) < self._reserve_bytes:
            return (
                f"there is no room for {len(whole)} bytes: {free_bytes} are free, and "
                f"{self._reserve_bytes} stay so. Free space on the robot's disk."
            )
        try:
            self._files.write_whole(path, whole)
        except (DiskFullError, DiskFailedError) as problem:
            return str(problem)
        return ""

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return  # it is refused again next time

    def _forget_least_used(self, kept: Path) -> None:
        others = [path for path in self._directory.glob(f"*{_ENGINE}") if path != kept]
        others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in [*others[MAX_ENGINES - 1 :], *self._directory.glob("*.partial")]:
            self._remove(path)


def read_whole(path: Path) -> bytes | None:
    """A whole regular file, None when there is none; raises OSError, SealError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > MAX_FILE_BYTES:
            raise SealError(f"it has more than {MAX_FILE_BYTES} bytes")
        return file.read()
