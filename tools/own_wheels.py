"""Builds wheels of what runs on robots, from this checkout: ``python -m tools.own_wheels DIRECTORY``.

Built from copies, so that nothing is left in the source folders.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.sources import ROOT

PROJECTS = ("libs/fleetward", "services/edge_bridge")
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def build(directory: Path, change: Callable[[Path], None] = lambda copy: None) -> list[Path]:
    """One wheel of each project, in ``directory``; the same sources give the same bytes.

    change: what is done to a project's copy before it is built.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for project in PROJECTS:
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / Path(project).name
            skipped = shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
            shutil.copytree(ROOT / project, copy, ignore=skipped)
            change(copy)
            subprocess.run(
                [sys.executable, "-c", _BUILD, str(directory.resolve())],
                cwd=copy,
                check=True,
                stdout=subprocess.DEVNULL,
                env={"SOURCE_DATE_EPOCH": "315532800", "PATH": ""},  # 1980: zip knows none older
            )
    return sorted(directory.glob("*.whl"))


def main() -> int:
    """The exit code."""
    for wheel in build(Path(sys.argv[1])):
        print(wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
