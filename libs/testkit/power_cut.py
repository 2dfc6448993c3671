"""Copies the image of a disk as a power cut would leave it. Standard library alone: a robot's own programs
that a test arms have nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

COPIES_LIMIT = 200
"""Of one cut: as often was something written while it was copied."""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where Debian keeps them from people who are not root."""


class TornCopyError(Exception):
    """The device was written to during every copy."""


def copied(image: Path, statistics: Path, copy: Path, limit: int = COPIES_LIMIT) -> None:
    """Have in ``copy`` what lies in ``image`` now; nothing is disturbed. Raises TornCopyError.

    statistics: of the loop device that the image is behind, ``/sys/block/<device>/stat``.
    """
    for _ in range(limit):
        before = _writes(statistics)
        run("cp", "--sparse=always", str(image), str(copy))
        if _writes(statistics) == before:
            return
    copy.unlink()
    raise TornCopyError(f"{image} was written to during {limit} copies of it")


def run(*arguments: str) -> str:
    """What a program of the system says; raises FileNotFoundError, subprocess.CalledProcessError."""
    program = shutil.which(arguments[0], path=_PATH)
    if program is None:
        raise FileNotFoundError(arguments[0])
    done = subprocess.run([program, *arguments[1:]], check=True, capture_output=True, text=True)
    return done.stdout


def _writes(statistics: Path) -> tuple[str, str]:
    """How many writes the device ended, and how many operations it is at."""
    fields = statistics.read_text().split()
    return fields[4], fields[8]
