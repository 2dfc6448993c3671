"""``fleetward model``: publish models, look at them, move their aliases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.client.models import Progress
    from fleetward.contracts.registry import ModelRecord, ModelVersion

app = typer.Typer(help="Publish models, look at them, move their aliases.", no_args_is_help=True)

MEGABYTE = 1_000_000


@app.command("push")
def push(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX model in one file.")],
    name: Annotated[str, typer.Option("--name", help="The model's name, for example detector.")],
    version: Annotated[str, typer.Option("--version", help="This version, for example 1.2.0.")],
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="NAME=VALUE, as often as needed.")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Upload FILE, have it verified and signed, and announce it as NAME:VERSION."""
    from fleetward.cli import plain
    from fleetward.cli.pairs import pairs_of

    pairs = pairs_of("--metadata", metadata or [])

    async def work(fleet: Fleet) -> None:
        with _progress_bar(file) as progress:
            pushed = await fleet.push_model(file, name, version, metadata=pairs, progress=progress)
        if as_json:
            already = {"already_published": pushed.already_published}
            show_json({**plain.model_version(pushed.version), **already})
        else:
            print(_pushed(pushed.version, already_published=pushed.already_published))

    with_fleet(home, work)


@app.command("list")
def list_models(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Every model with its versions and aliases."""
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        records = await fleet.models()
        if as_json:
            show_json([plain.model_record(record) for record in records])
            return
        show_table(
            ["MODEL", "RELEASE", "SIZE", "OPSET", "PUBLISHED", "ALIASES", "DIGEST"],
            [_row(record, version) for record in records for version in record.versions],
            when_empty="No model is published yet. Push one with `fleetward model push`.",
        )

    with_fleet(home, work)


@app.command("show")
def show(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="name:version, name@alias, or a name for all.")
    ],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """One version, or everything about one model."""
    from fleetward.cli import plain

    async def work(fleet: Fleet) -> None:
        if ":" in model or "@" in model:
            version = await fleet.model(model)
            show_json(plain.model_version(version)) if as_json else _show_version(version)
        else:
            record = await fleet.model_record(model)
            show_json(plain.model_record(record)) if as_json else _show_record(record)

    with_fleet(home, work)


@app.command("alias")
def alias(
    alias: Annotated[
        str,
        typer.Argument(metavar="NAME@ALIAS", help="name@alias, for example detector@production."),
    ],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version it shall name.")],
    expect: Annotated[
        str | None,
        typer.Option("--expect", help="Move only from this version. Default: what it names now."),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Let an alias name another version, if nobody else moved it meanwhile."""
    from fleetward.cli import plain
    from fleetward.contracts.errors import InvalidIdError

    async def work(fleet: Fleet) -> None:
        name, at, wanted = alias.partition("@")
        if not at:
            raise InvalidIdError("alias", alias, "write name@alias")
        expected = expect or (await fleet.model_record(name)).aliases.get(wanted)  # type: ignore[call-overload]  # checked by move_alias
        moved = await fleet.move_alias(name, wanted, version, expected=expected)
        if as_json:
            show_json(plain.alias_moved(moved))
        else:
            before = f"it named {moved.previous_version}" if moved.previous_version else "new"
            print(f"{moved.name}@{moved.alias} names {moved.version} ({before}).")

    with_fleet(home, work)


@contextmanager
def _progress_bar(file: Path) -> Iterator[Progress]:
    """A bar on standard error, where a terminal is; silent elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    from fleetward.cli.tables import console_for_people

    console = console_for_people(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(file.name, total=None)

        def sent(sent_bytes: int, total_bytes: int) -> None:
            doing = "being verified" if sent_bytes == total_bytes else "upload"
            description = f"{file.name}: {doing}"
            bar.update(task, completed=sent_bytes, total=total_bytes, description=description)

        yield sent


def _pushed(version: ModelVersion, *, already_published: bool) -> str:
    manifest = version.manifest
    how = "was published already, with the same bytes" if already_published else "is published"
    return (
        f"{manifest.model} {how}: release {manifest.release}, "
        f"{manifest.size_bytes / MEGABYTE:.1f} MB, {manifest.digest}."
    )


def _row(record: ModelRecord, version: ModelVersion) -> list[str]:
    manifest = version.manifest
    own = [f"@{name}" for name, held in record.aliases.items() if held == manifest.model.version]
    return [
        str(manifest.model),
        str(manifest.release),
        f"{manifest.size_bytes / MEGABYTE:.1f} MB",
        str(manifest.opset),
        f"{manifest.published_at:%Y-%m-%d %H:%M}",
        " ".join(sorted(own)),
        manifest.digest[:19],
    ]


def _show_version(version: ModelVersion) -> None:
    manifest = version.manifest
    print(f"{manifest.model}  (release {manifest.release}, {manifest.published_at:%Y-%m-%d %H:%M})")
    print(f"  digest    {manifest.digest}")
    print(f"  size      {manifest.size_bytes} bytes, {manifest.format} opset {manifest.opset}")
    print(f"  signed    by key {version.signed.key_id}")
    for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            shape = " x ".join("?" if size < 0 else str(size) for size in spec.shape) or "scalar"
            print(f"  {kind:<9} {spec.name}: {spec.element_type} {shape}")
    for key, value in sorted(manifest.metadata.items()):
        print(f"  {key} = {value}")


def _show_record(record: ModelRecord) -> None:
    for version in record.versions:
        _show_version(version)
    for move in record.alias_history:
        print(f"  {move.moved_at:%Y-%m-%d %H:%M}  @{move.alias} -> {move.version}")
