"""All files that match the patterns: new ones are found, old ones left when they end."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from edge_bridge.logs.following import FollowedFile, Identity, Position, opened
from edge_bridge.logs.limits import LogSettings

NO_TEXT = (".gz", ".xz", ".zst", ".bz2", ".zip", ".lz4")
"""What log rotation makes of files that were followed already."""
Complain = Callable[[str, str], None]
"""What happened, and to which path."""


class Files:
    """Ask ``scan`` now and then, and read ``every`` file as often as wanted."""

    def __init__(
        self, limits: LogSettings, positions: Iterable[Position] | None, complain: Complain
    ) -> None:
        """``positions``: where a collector before this one stopped; None when there never was one."""
        self._limits = limits
        self._complain = complain
        self._never = positions is None
        self._looked = False
        self._known = {position.identity: position for position in positions or ()}
        self._files: dict[Identity, FollowedFile] = {}
        self._refused: set[str] = set()

    def every(self) -> list[FollowedFile]:
        """Those that are followed now."""
        return list(self._files.values())

    def positions(self) -> list[Position]:
        """Of all, and of some that are known and not there at present."""
        away = list(self._known.values())[-self._limits.followed_files :]
        return [*(file.position for file in self._files.values()), *away]

    def scan(self, now_s: float) -> list[FollowedFile]:
        """Look for new files and for turned ones; returns those that are left and at their end."""
        names: dict[Identity, Path] = {}
        for path in self._matching():
            self._look_at(path, names, now_s)
        if not self._looked:
            self._find_renamed(names, now_s)
        self._looked = True
        return self._left(names, now_s)

    def _look_at(self, path: Path, names: dict[Identity, Path], now_s: float) -> None:
        identity = _named(path)
        if identity is None or identity in names:
            return
        if identity in self._files or self._open(path, now_s):
            names[identity] = path

    def _open(self, path: Path, now_s: float) -> bool:
        try:
            file = opened(path, self._limits)
        except OSError as problem:
            self._refuse(problem.strerror or repr(problem), path)
            return False
        if file is None:
            return False
        if file.identity in self._files:  # it was renamed while we looked
            file.close()
            return False
        position = self._known.pop(file.identity, None)
        if position is not None:
            file.go_on(position)
        elif self._never and not self._looked:
            file.skip_to_end(self._limits.backlog_bytes)
        file.read_at_s = now_s
        self._files[file.identity] = file
        return True

    def _find_renamed(self, names: dict[Identity, Path], now_s: float) -> None:
        """What was turned while nobody looked lies beside its old name."""
        for directory in {Path(position.path).parent for position in self._known.values()}:
            try:
                entries = list(os.scandir(directory))
            except OSError:
                continue
            for entry in entries:
                if entry.name.endswith(NO_TEXT):
                    continue
                identity = _named(Path(entry.path))
                if identity in self._known and self._open(Path(entry.path), now_s):
                    names[identity] = Path(entry.path)

    def _left(self, names: dict[Identity, Path], now_s: float) -> list[FollowedFile]:
        """A program may write to a file for a while that was renamed or removed."""
        gone = [
            file
            for identity, file in self._files.items()
            if identity not in names and now_s - file.read_at_s >= self._limits.rotated_s
        ]
        for file in gone:
            del self._files[file.identity]
            self._known[file.identity] = file.position  # it may only be one too many now
        while len(self._known) > self._limits.followed_files:
            del self._known[next(iter(self._known))]
        return gone

    def _matching(self) -> list[Path]:
        """Those that were written last, the oldest of them first."""
        found: dict[str, float] = {}
        for pattern in self._limits.files:
            for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207 (a pattern may be absolute)
                if not path.endswith(NO_TEXT):
                    with suppress(OSError):
                        found[path] = Path(path).stat().st_mtime
        newest = sorted(found, key=lambda path: (found[path], path))
        return [Path(path) for path in newest[-self._limits.followed_files :]]

    def _refuse(self, reason: str, path: Path) -> None:
        """Once for each: it is looked for every second."""
        if str(path) not in self._refused and len(self._refused) < self._limits.followed_files:
            self._refused.add(str(path))
            self._complain(reason, str(path))


def _named(path: Path) -> Identity | None:
    """Which file has that name now."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
