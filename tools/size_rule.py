"""A file has at most 300 lines and a function 40, or a reason stands here.

A docstring does not count towards its function: units, shapes and errors cost nothing.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.sources import ROOT, Finding, python_files, report

FILE_LINES = 300
FUNCTION_LINES = 40

LONGER_FILES: Mapping[str, str] = {}
LONGER_FUNCTIONS: Mapping[str, str] = {}
"""``path::function`` to the reason why its length is clearer than its parts would be."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def findings(path: Path, source: str) -> Iterator[Finding]:
    """What is too long in ``source``, the text of ``path`` (relative to the repository)."""
    lines = len(source.splitlines())
    if lines > FILE_LINES and path.as_posix() not in LONGER_FILES:
        yield Finding(path, lines, f"{lines} lines; split it by what it answers ({FILE_LINES})")
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if isinstance(node, Function):
            length = _length(node)
            if (
                length > FUNCTION_LINES
                and f"{path.as_posix()}::{node.name}" not in LONGER_FUNCTIONS
            ):
                yield Finding(
                    path, node.lineno, f"{node.name} has {length} lines ({FUNCTION_LINES})"
                )


def _length(function: Function) -> int:
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return length
    return length - ((first.end_lineno or first.lineno) - first.lineno + 1)


def unused_exceptions(root: Path = ROOT) -> Iterator[Finding]:
    """An exception whose file is gone: it would excuse the next one of that name."""
    for entry in (*LONGER_FILES, *LONGER_FUNCTIONS):
        path = Path(entry.partition("::")[0])
        if not (root / path).exists():
            yield Finding(path, 1, "is gone; take its exception out of tools/size_rule.py")


def main() -> int:
    """The exit code of `make check`'s size rule."""
    found = [
        finding
        for path in python_files()
        for finding in findings(path, (ROOT / path).read_text("utf-8"))
    ]
    return report([*found, *unused_exceptions()])


if __name__ == "__main__":
    sys.exit(main())
