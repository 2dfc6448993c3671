"""``fleetward model history`` and ``fleetward robot history``: what was so, and since when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.client import Fleet
    from fleetward.client.timeline import Served
    from fleetward.contracts.ids import ModelRef

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="ISO 8601, for example 2026-11-24T14:03; this machine's zone unless it has one.",
    ),
]


def model_history(
    model: Annotated[
        str, typer.Argument(metavar="NAME[@ALIAS]", help="A model, or one of its aliases.")
    ],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Everything that ever happened to a model, or every move of one alias."""

    async def work(fleet: Fleet) -> None:
        from fleetward.cli.tables import show_table
        from fleetward.client import history
        from fleetward.client.timeline import with_its_zone
        from fleetward.contracts import ids

        name, at, alias = model.partition("@")
        if at:
            moves = await history.of_alias(
                fleet.connection, ids.model_name(name), ids.alias_name(alias)
            )
            lines = [history.happening(move) for move in moves]
        else:
            lines = list(await history.of_model(fleet.connection, ids.model_name(name)))
        if as_json:
            show_json(
                [
                    {"at": each.at.isoformat(), "what": each.what, "by": each.by or None}
                    for each in lines
                ]
            )
            return
        show_table(
            ["WHEN", "WHAT", "BY"],
            [[with_its_zone(each.at), each.what, each.by] for each in lines],
            when_empty=f"Nothing ever happened to {model}.",
        )

    with_fleet(home, work)


def robot_history(
    robot: Annotated[str, typer.Argument(metavar="ROBOT", help="The robot's id.")],
    at: At = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What a robot served, and since when; with --at what was in production on it then."""
    moment = _moment(at) if at is not None else None

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.client import history
        from fleetward.contracts import ids

        served = await history.of_robot(fleet.connection, ids.robot_id(robot))
        if moment is not None:
            return await _show_moment(fleet, robot, served, moment, as_json=as_json)
        if as_json:
            show_json([_plain(each) for each in served])
        else:
            _show_all(robot, served)
        return None

    with_fleet(home, work)


async def _show_moment(
    fleet: Fleet, robot: str, served: tuple[Served, ...], at: datetime, *, as_json: bool
) -> Exit | None:
    from fleetward.cli.exits import Exit, complain
    from fleetward.client.timeline import serving_at, with_its_zone

    found = serving_at(served, at)
    if not found:
        complain(f"{robot} is not known to have served anything at {with_its_zone(at)}.")
        return Exit.FAILED
    aliases = [await _aliases_of(fleet, each.model, at) if each.model else [] for each in found]
    if as_json:
        told = [{"aliases": of, **_plain(each)} for of, each in zip(aliases, found, strict=True)]
        show_json({"robot_id": robot, "at": at.isoformat(), **told[0], "beside": told[1:]})
        return None
    for each, of in zip(found, aliases, strict=True):
        _show_one(robot, each, of, at)
    return None


def _show_one(robot: str, found: Served, aliases: list[str], at: datetime) -> None:
    from fleetward.client.timeline import with_its_zone

    until = f"until {with_its_zone(found.until)}" if found.until else "and still does"
    print(f"{robot} at {with_its_zone(at)}: {found.model or found.digest}")
    print(f"  digest   {found.digest}")
    print(f"  since    {with_its_zone(found.since)} {until}")
    print(f"  rollout  {found.rollout_id}, generation {found.generation}")
    print(f"  aliases  {', '.join('@' + each for each in sorted(aliases)) or 'none'}")


async def _aliases_of(fleet: Fleet, served: ModelRef, at: datetime) -> list[str]:
    """Which aliases named it then; a model without a record has no variants to be named by."""
    from fleetward.client import history
    from fleetward.client.timeline import aliases_at
    from fleetward.contracts import variants

    named = aliases_at(await history.alias_moves(fleet.connection, served.name), at)
    records = [record for record in await fleet.models() if record.name == served.name]
    return [
        alias
        for alias, version in named.items()
        if served.version == version
        or any(
            held.manifest.model == served
            for record in records
            for held in variants.named(record, version)
        )
    ]


def _show_all(robot: str, served: tuple[Served, ...]) -> None:
    from fleetward.cli.tables import show_table
    from fleetward.client.timeline import with_its_zone

    show_table(
        ["SINCE", "MODEL", "ROLLOUT", "GENERATION", "DIGEST", "WHY"],
        [
            [
                with_its_zone(each.since),
                str(each.model or "not known"),
                each.rollout_id,
                str(each.generation),
                each.digest[:19],
                f"fell back: {each.fell_back_because}" if each.fell_back_because else "activated",
            ]
            for each in served
        ],
        when_empty=f"{robot} never reported that it serves a model.",
    )


def _plain(each: Served) -> dict[str, Any]:
    return {
        "model": str(each.model) if each.model else None,
        "pipeline": each.pipeline,
        "digest": each.digest,
        "rollout_id": each.rollout_id,
        "generation": each.generation,
        "since": each.since.isoformat(),
        "until": each.until.isoformat() if each.until else None,
        "fell_back_because": each.fell_back_because or None,
    }


def _moment(text: str) -> datetime:
    from fleetward.client.timeline import moment

    try:
        return moment(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no moment. Write for example 2026-11-24T14:03+01:00.", param_hint="--at"
        ) from None
