"""``fleetward model diff``: what an update changes, tensor by tensor, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, end_with, show_json, with_fleet
from fleetward.contracts.wording import how_many

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.client.diffs import ModelDiff
    from fleetward.delivery.compare import TensorChange

MEGABYTE = 1_000_000
MAX_SHOWN = 20

Base = Annotated[
    str, typer.Argument(metavar="BASE", help="name:version, name@alias, or a file here.")
]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="What robots that hold BASE shall get.")
]
All = Annotated[
    bool,
    typer.Option("--all", help=f"Every tensor. Default: the {MAX_SHOWN} that move most bytes."),
]


def diff(
    base: Base,
    target: Target,
    *,
    show_all: All = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What changes between two versions, or two files, and the bytes that move for it."""
    files = [Path(base), Path(target)]

    def show(found: ModelDiff) -> None:
        show_json(_plain(found)) if as_json else _show(found, show_all=show_all)

    async def local() -> None:
        import asyncio

        from fleetward.client.diffs import diff_files

        show(await asyncio.to_thread(diff_files, *files))

    async def published(fleet: Fleet) -> None:
        show(await fleet.diff_models(base, target))

    missing = [str(file) for file in files if not file.is_file()]
    if len(missing) == 1:
        raise typer.BadParameter(
            f"{missing[0]} is no file here. Compare two files, or two published versions."
        )
    with_fleet(home, published) if missing else end_with(local)


def _plain(found: ModelDiff) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(found)
    return plain


def _show(found: ModelDiff, *, show_all: bool) -> None:
    from fleetward.cli.tables import show_table

    told = [change for change in found.changes if show_all or _is_told(change)]
    told.sort(key=lambda change: -change.cost_bytes)
    shown = told if show_all else told[:MAX_SHOWN]
    print(_summary(found))
    show_table(
        ["TENSOR", "TYPE", "SHAPE", "SIZE", "CHANGE", "MOVES", "BY"],
        [_row(change) for change in shown],
        when_empty="No tensor changed.",
    )
    if len(shown) < len(told):
        rest = sum(change.cost_bytes for change in told[MAX_SHOWN:])
        further = how_many(len(told) - len(shown), "further tensor")
        print(f"and {further} for which {_size(rest)} move; --all shows every one.")


def _is_told(change: TensorChange) -> bool:
    from fleetward.delivery.compare import Fate

    return change.cost_bytes > 0 or change.fate in (Fate.ADDED, Fate.CHANGED, Fate.REMOVED)


def _row(change: TensorChange) -> list[str]:
    return [
        change.name,
        change.element_type,
        " x ".join(map(str, change.shape)),
        _size(change.size_bytes),
        change.fate.value,
        _size(change.cost_bytes),
        ", ".join(change.by),
    ]


def _summary(found: ModelDiff) -> str:
    from fleetward.delivery.compare import BETWEEN, Fate

    fates = [change.fate for change in found.changes if change.name != BETWEEN]
    counts = ", ".join(f"{fates.count(fate)} {fate.value}" for fate in Fate if fate in fates)
    by_delta = (
        f"{_size(found.delta_bytes)} as a delta"
        if found.delta_bytes is not None
        else "no delta is offered"
    )
    return (
        f"{counts or 'no tensors'}. An update moves {by_delta}, "
        f"{_size(found.plain_bytes)} by chunks, {_size(found.target_bytes)} as a whole."
    )


def _size(size_bytes: int) -> str:
    if size_bytes >= MEGABYTE:
        return f"{size_bytes / MEGABYTE:.1f} MB"
    return f"{size_bytes / 1000:.1f} kB" if size_bytes >= 1000 else f"{size_bytes} B"
