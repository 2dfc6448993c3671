"""A disk whose power can be cut: an ext4 image behind a loop device, copied as it lies there.

What programs wrote and did not fsync is in the mounted file system's memory and not in the image, so
a copy of the image is what a robot finds after a power cut once its file system replayed its journal.
The device behaves: what it was given is kept, in the order it was given (docs/adr/0018).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IMAGE_BYTES = 160 * 1024 * 1024
"""Sparse; more than a bridge keeps free for its journal."""
JOURNAL_MIB = 4
OPTIONS = "loop,noauto_da_alloc"
"""Nothing is written early that nobody asked to be synced: other file systems do not either."""
COPIES_LIMIT = 50
"""Of one cut: as often was something written while it was copied."""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where Debian keeps them from people who are not root."""


class TornCopyError(Exception):
    """The device was written to during every copy."""


class DiskImage:
    """A mounted image: ``place`` is where, ``path`` the image itself."""

    def __init__(self, path: Path, place: Path) -> None:
        self.path = path
        self.place = place
        device = _run("findmnt", "-n", "-o", "SOURCE", str(place)).strip()
        self._statistics = Path("/sys/block", Path(device).name, "stat")

    def cut(self, copy: Path) -> None:
        """Have in ``copy`` what would be left if the power went now; nothing here is disturbed.

        Raises TornCopyError.
        """
        for _ in range(COPIES_LIMIT):
            before = self._writes()
            _run("cp", "--sparse=always", str(self.path), str(copy))
            if self._writes() == before:
                return
        raise TornCopyError(f"{self.path} was written to during {COPIES_LIMIT} copies of it")

    @contextmanager
    def after_power_cut(self, scratch: Path) -> Iterator[Path]:
        """What a robot finds that starts again, mounted under ``scratch``, which holds nothing yet."""
        scratch.mkdir()
        self.cut(scratch / "left.img")
        with mounted(scratch / "left.img", scratch / "disk") as left:
            yield left.place

    def _writes(self) -> tuple[str, str]:
        """How many writes the device ended, and how many operations it is at."""
        fields = self._statistics.read_text().split()
        return fields[4], fields[8]


def format_image(path: Path) -> None:
    """Make an empty file system in a new file."""
    with path.open("wb") as image:
        image.truncate(IMAGE_BYTES)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", f"size={JOURNAL_MIB}", str(path))


@contextmanager
def mounted(path: Path, place: Path) -> Iterator[DiskImage]:
    """Mount an image, replaying its journal; skips the test where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        _run("mount", "-o", OPTIONS, str(path), str(place))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting an image behind a loop device is not allowed here")
    try:
        yield DiskImage(path, place)
    finally:
        _run("umount", "--lazy", str(place))


def _run(*arguments: str) -> str:
    program = shutil.which(arguments[0], path=_PATH)
    if program is None:
        raise FileNotFoundError(arguments[0])
    done = subprocess.run([program, *arguments[1:]], check=True, capture_output=True, text=True)
    return done.stdout
