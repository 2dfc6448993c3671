"""A subject is written once, on a page of the catalog. One that stands elsewhere is refused.

Docstrings may name subjects. The attack tests may write them too: they play somebody who does
not go through the catalog.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.sources import ROOT, Finding, python_files, report

CATALOG = Path("libs/fleetward/contracts/catalog_pages")
SUBJECT = re.compile(
    r"(?:model|recording|segment|engine|rollout|robot|site|telemetry|alert|dlq|trust)\.(?:\S*\.)?v1(?:[.{*>]|$)"
)
SERVER_API = re.compile(r"\$JS\.")

ATTACKS = (Path("tests/faults"), Path("tests/integration/security"))
MAY_NAME_SERVER_API = (
    Path("libs/fleetward/bus"),
    Path("libs/fleetward/contracts"),
    Path("libs/fleetward/trust"),
    Path("tests/unit/trust"),
    Path("tests/integration/rollout_coordinator/write_points.py"),  # it reads a wire
    *ATTACKS,
)


def findings(path: Path, source: str) -> Iterator[Finding]:
    """Every string of ``source`` that ``path`` (relative to the repository) may not hold."""
    tree = ast.parse(source, filename=str(path))
    for line, text in _strings(tree):
        if SUBJECT.match(text) and not _is_within(path, (CATALOG, *ATTACKS)):
            yield Finding(
                path, line, f"the subject {text!r} belongs in {CATALOG}; take it from its row"
            )
        if SERVER_API.match(text) and not _is_within(path, MAY_NAME_SERVER_API):
            yield Finding(
                path, line, f"{text!r} is the server's own API; only fleetward.bus speaks it"
            )


def _is_within(path: Path, places: tuple[Path, ...]) -> bool:
    return any(path == place or place in path.parents for place in places)


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each string with its line; an f-string's holes read as ``{}``. No docstrings."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):  # parents come before their children
        if node in skipped:
            continue
        if isinstance(node, ast.Expr):
            skipped.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
            yield node.lineno, "".join(_piece(value) for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _piece(value: ast.expr) -> str:
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return str(value.value) if is_text else "{}"  # type: ignore[attr-defined]  # narrowed above


def main() -> int:
    """The exit code of `make check`'s subject rule."""
    return report(
        finding
        for path in python_files()
        for finding in findings(path, (ROOT / path).read_text("utf-8"))
    )


if __name__ == "__main__":
    sys.exit(main())
