"""Which Python files the house rules read, and how a finding is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("libs", "services", "tools", "tests", "examples", "deploy")
BUILT = {"build", "dist", "__pycache__"}


@dataclass(frozen=True)
class Finding:
    """One line that breaks one rule, and what to do about it."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path.as_posix()}:{self.line}: {self.message}"


def python_files(root: Path = ROOT) -> Iterator[Path]:
    """Every Python file of the project, relative to ``root``, in a stable order."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            if not any(part in BUILT or part.startswith(".") for part in relative.parts):
                yield relative


def report(findings: Iterable[Finding]) -> int:
    """Print each finding; the exit code is 1 when there was one."""
    found = list(findings)
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0
