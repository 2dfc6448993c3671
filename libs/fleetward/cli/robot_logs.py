"""``fleetward robot logs``: what the robot's programs said, stored and live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from fleetward.cli.session import DEFAULT_HOME, Home, Json, with_fleet
from fleetward.contracts.wording import how_many
from fleetward.logs.choosing import Wanted
from fleetward.logs.record import SEVERITIES, range_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetward.client import Fleet
    from fleetward.client.logs import Gap, Shown

_NS_PER_S = 1_000_000_000
_INDENT = "\n    "

Robot = Annotated[str, typer.Argument(metavar="ROBOT", help="The robot's id.")]
Moment = "A duration before now, as 10m, or ISO 8601, as 2026-11-24T14:03."
Since = Annotated[str, typer.Option("--since", help=Moment, show_default="1h")]
Until = Annotated[str, typer.Option("--until", help=Moment, show_default="now")]
Least = Annotated[
    str, typer.Option("--severity", metavar="SEVERITY", help="From this one up, as warning.")
]
Units = Annotated[
    list[str] | None,
    typer.Option("--unit", metavar="UNIT", help="Only of this program; may be given again."),
]
Follow = Annotated[
    bool,
    typer.Option("--follow", "-f", help="Go on: warnings at once, the rest with its segment."),
]


def logs(
    robot: Robot,
    *,
    since: Since = "1h",
    until: Until = "",
    severity: Least = "",
    unit: Units = None,
    follow: Follow = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What the robot's programs logged, in the order in which it was collected."""
    now_ns = time.time_ns()
    if follow and until:
        raise typer.BadParameter("--follow has no end.", param_hint="--until")
    wanted = Wanted(
        since_ns=_moment_ns("--since", since, now_ns),
        severity=_severity(severity),
        units=frozenset(unit or ()),
    )
    if until:
        wanted = replace(wanted, until_ns=_moment_ns("--until", until, now_ns))

    async def work(fleet: Fleet) -> None:
        from fleetward.client.logs import LogReader
        from fleetward.client.robots import enrolled
        from fleetward.contracts.ids import robot_id

        wanted_robot = robot_id(robot)
        await enrolled(fleet.connection, wanted_robot)
        reader = LogReader(fleet.connection, wanted_robot, wanted)
        shown = reader.follow() if follow else reader.stored()
        await _show(shown, as_json=as_json, at_once=follow)

    with_fleet(home, work)


async def _show(shown: AsyncIterator[Shown | Gap], *, as_json: bool, at_once: bool) -> None:
    from fleetward.cli.exits import complain
    from fleetward.client.logs import Gap

    async for each in shown:
        if isinstance(each, Gap):
            complain(f"{how_many(each.records, 'record')} missing here: {each.reason}")
        elif as_json:
            print(each.found.line.decode(), flush=at_once)
        else:
            print(line_of(each), flush=at_once)


def line_of(shown: Shown) -> str:
    """As people read it; nothing that a program wrote can steer their terminal."""
    record = shown.found.record
    severity = range_of(record.severity_number).name if record.severity_number else ""
    told = " ".join(f"{name}={_spoken(value)}" for name, value in record.attributes.items())
    text = f"{record.body} {told}" if told else record.body
    at = f"{shown.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return harmless(f"{at} {severity:<5} {record.resource.service_name}: {text}")


def harmless(text: str) -> str:
    """Lines stay lines, indented; every other character that prints nothing is written out."""
    shown = (
        each
        if each.isprintable()
        else _INDENT
        if each == "\n"
        else each.encode("unicode_escape").decode()
        for each in text.replace("\t", "    ")
    )
    return "".join(shown)


def _spoken(value: object) -> str:
    import msgspec

    if isinstance(value, str):
        return f"\n{value}" if "\n" in value else value
    return msgspec.json.encode(value).decode()


def _severity(text: str) -> int:
    if not text:
        return 0
    known = SEVERITIES.get(text.lower())
    if known is None:
        raise typer.BadParameter(
            "use trace, debug, info, warning, error or fatal.", param_hint="--severity"
        )
    return known.value


def _moment_ns(option: str, text: str, now_ns: int) -> int:
    from fleetward.cli.durations import seconds
    from fleetward.client.timeline import moment

    try:
        return round(moment(text).timestamp() * _NS_PER_S)
    except ValueError:
        pass
    try:
        return now_ns - round(seconds(text) * _NS_PER_S)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{text!r} is no moment. Write 10m, or 2026-11-24T14:03+01:00.", param_hint=option
        ) from None
