"""A disk whose power can be cut: an ext4 image behind a loop device, copied as it lies there.

What programs wrote and did not fsync is in the mounted file system's memory and not in the image, so
a copy of the image is what a robot finds after a power cut once its file system replayed its journal.
The device behaves: what it was given is kept, in the order it was given (docs/adr/0018).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testkit.power_cut import copied, run

IMAGE_BYTES = 160 * 1024 * 1024
"""Sparse; more than a bridge keeps free for its journal."""
JOURNAL_MIB = 4
OPTIONS = "loop,noauto_da_alloc,discard"
"""Nothing is written early that nobody asked to be synced: other file systems do not either. What was
removed takes no room in a copy."""


class DiskImage:
    """A mounted image: ``place`` is where, ``path`` the image itself."""

    def __init__(self, path: Path, place: Path) -> None:
        self.path = path
        self.place = place
        device = run("findmnt", "-n", "-o", "SOURCE", str(place)).strip()
        self.statistics = Path("/sys/block", Path(device).name, "stat")

    def cut(self, copy: Path) -> None:
        """Have in ``copy`` what would be left if the power went now; nothing here is disturbed.

        Raises TornCopyError.
        """
        copied(self.path, self.statistics, copy)

    @contextmanager
    def after_power_cut(self, scratch: Path) -> Iterator[Path]:
        """What a robot finds that starts again, mounted under ``scratch``, which holds nothing yet."""
        scratch.mkdir()
        self.cut(scratch / "left.img")
        with mounted(scratch / "left.img", scratch / "disk") as left:
            yield left.place


def format_image(path: Path) -> None:
    """Make an empty file system in a new file."""
    with path.open("wb") as image:
        image.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", f"size={JOURNAL_MIB}", str(path))


@contextmanager
def mounted(path: Path, place: Path) -> Iterator[DiskImage]:
    """Mount an image, replaying its journal; skips the test where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        run("mount", "-o", OPTIONS, str(path), str(place))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting an image behind a loop device is not allowed here")
    try:
        yield DiskImage(path, place)
    finally:
        run("umount", "--lazy", str(place))
