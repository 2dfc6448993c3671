"""Tables for people, made only when one is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 400
"""Columns where nobody looks at a terminal, so that nothing is cut off in a log."""


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, when_empty: str) -> None:
    """Print a table, or one sentence when there are no rows."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = console_for_people()
    if table.row_count:
        console.print(table)
    else:
        console.print(when_empty, highlight=False)


def console_for_people(*, stderr: bool = False) -> Console:
    """A console that is wide when its output is read by a program."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)
