"""One measured figure, what it is compared with, and whether it reached its goal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.table import Table

RESULTS = Path(".fleetward/bench")


class Measurement(Struct, frozen=True, kw_only=True):
    """``ratio``: value over what was measured as ``against`` in the same run.

    ``goal`` is a sentence; ``met`` None when there is none to meet.
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    goal: str = ""
    met: bool | None = None


def write_results(area: str, measurements: Sequence[Measurement]) -> Path:
    """Write ``.fleetward/bench/<area>.json``; returns its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{area}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(measurements)), indent=2) + b"\n")
    return path


def table(area: str, measurements: Sequence[Measurement]) -> Table:
    """The measurements as people read them."""
    drawn = Table(title=f"bench: {area}", title_justify="left")
    drawn.add_column("what", max_width=46)
    drawn.add_column("value", justify="right", no_wrap=True)
    drawn.add_column("ratio", justify="right", no_wrap=True)
    drawn.add_column("against", max_width=44)
    drawn.add_column("goal", max_width=30)
    drawn.add_column("met")
    for one in measurements:
        drawn.add_row(
            one.name,
            f"{one.value:,.4g} {one.unit}",
            "" if one.ratio is None else f"{one.ratio:.2f}x",
            one.against,
            one.goal,
            {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[one.met],
        )
    return drawn
