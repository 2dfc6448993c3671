"""``fleetward model``: publish models, look at them, move their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet

app = typer.Typer(help="Publish models, look at them, move their aliases.", no_args_is_help=True)


@app.command("list")
def list_models(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Every model with its versions and aliases, and which of them are deprecated or withdrawn."""
    from fleetward.cli import model_view
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        records, standings = await fleet.models(), await fleet.curation.standings()
        if as_json:
            show_json([model_view.plain_record(record, standings) for record in records])
            return
        show_table(
            [
                "MODEL",
                "RELEASE",
                "SIZE",
                "OPSET",
                "PUBLISHED",
                "ALIASES",
                "FOR",
                "DIGEST",
                "STANDING",
            ],
            [
                model_view.row(record, version, standings)
                for record in records
                for version in record.versions
            ],
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
    """One version, its variants, lineage, licence and card, or everything about one model."""
    from fleetward.cli import model_view, plain

    async def work(fleet: Fleet) -> None:
        if ":" in model or "@" in model:
            found = await fleet.curation.of_each(model)
            if as_json:
                show_json(model_view.plain_curated(model, found))
            else:
                for curated in found:
                    model_view.show_curated(curated)
            return
        record = await fleet.model_record(model)
        of_all = await fleet.curation.of_all(record.name)
        if as_json:
            show_json(plain.model_record(record))
        else:
            model_view.show_record(record, of_all)

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
    from fleetward.cli.people import logged_in
    from fleetward.contracts.errors import InvalidIdError

    async def work(fleet: Fleet) -> None:
        name, at, wanted = alias.partition("@")
        if not at:
            raise InvalidIdError("alias", alias, "write name@alias")
        expected = expect or (await fleet.model_record(name)).aliases.get(wanted)  # type: ignore[call-overload]  # checked by move_alias
        moved = await fleet.move_alias(name, wanted, version, expected=expected, by=logged_in())
        if as_json:
            show_json(plain.alias_moved(moved))
        else:
            before = f"it named {moved.previous_version}" if moved.previous_version else "new"
            print(f"{moved.name}@{moved.alias} names {moved.version} ({before}).")

    with_fleet(home, work)
