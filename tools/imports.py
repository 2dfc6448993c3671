"""Which modules a module imports when it runs; what only the type checker reads is left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def imported_modules(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, at any depth.

    ``from a.b import c`` gives both ``a.b`` and ``a.b.c``: c may be a module too.
    """
    yield from _within(tree)


def _within(parent: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif not _is_for_types_only(node):
            yield from _within(node)


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
