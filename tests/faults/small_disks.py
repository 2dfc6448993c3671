"""A real file system that is small, filled to the last byte and freed again."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK_BYTES = 4096


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[None]:
    """Mount a tmpfs of ``size_bytes`` on ``place``; skips the test where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_up(filler: Path, leave_bytes: int = 0) -> None:
    """Write until the file system has no more than ``leave_bytes`` of room."""
    with filler.open("wb", buffering=0) as file:
        while (free := shutil.disk_usage(filler.parent).free) > leave_bytes:
            try:
                os.write(file.fileno(), bytes(min(free - leave_bytes, 256 * BLOCK_BYTES)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return
