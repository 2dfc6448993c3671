"""``fleetward telemetry``: stored samples."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.durations import seconds, spoken
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.signals import SIGNALS
from fleetward.contracts.wording import how_many

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.telemetry import Sample

app = typer.Typer(help="What robots measured.", no_args_is_help=True)

NANOSECONDS = 1_000_000_000

SignalName = Annotated[
    str,
    typer.Argument(
        metavar="SIGNAL", help="OpenTelemetry name, for example model.inference.duration."
    ),
]
Last = Annotated[
    float,
    typer.Option(
        "--last",
        parser=seconds,
        metavar="DURATION",
        show_default="60 s",
        help="How far back, as 30s or 10m.",
    ),
]


@app.command("query")
def query(
    signal: SignalName,
    last: Last = 60.0,
    robot: Annotated[str | None, typer.Option("--robot", help="Only this robot.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many samples.")] = 1000,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Stored samples of one signal, oldest first.

    A signal nobody reports is answered with the names of those that robots do.
    """
    from fleetward.cli import plain
    from fleetward.cli.exits import complain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        from fleetward.client.robots import enrolled
        from fleetward.contracts.ids import robot_id

        end = datetime.now(timezone.utc)
        start = end - timedelta(seconds=last)
        found = await fleet.telemetry(signal, start=start, end=end, robot=robot, limit=limit)
        if robot is not None and not found.samples:
            await enrolled(fleet.connection, robot_id(robot))
        if as_json:
            samples = [plain.sample(sample) for sample in found.samples]
            show_json({"matched": found.matched, "samples": samples})
            return
        show_table(
            ["AT (UTC)", "ROBOT", "VALUE", "UNIT", "ATTRIBUTES"],
            [_row(sample) for sample in found.samples],
            when_empty=_nothing(signal, last),
        )
        if found.matched > len(found.samples):
            complain(
                f"{how_many(found.matched, 'sample')} matched; --limit shows the first {limit}."
            )

    with_fleet(home, work)


def _row(sample: Sample) -> list[str]:
    at = datetime.fromtimestamp(sample.at_ns / NANOSECONDS, timezone.utc)
    attributes = " ".join(f"{key}={value}" for key, value in sorted(sample.attributes.items()))
    return [
        f"{at:%H:%M:%S.%f}"[:-3],
        sample.robot_id,
        f"{sample.value:.6g}",
        _unit(sample.signal),
        attributes,
    ]


def _unit(signal: str) -> str:
    """The unit of a robot's own signal; an application's may have any."""
    return next((known.unit for known in SIGNALS if known.name == signal), "")


def _nothing(signal: str, last_s: float) -> str:
    names = "" if _unit(signal) else f" Robots report {', '.join(held.name for held in SIGNALS)}."
    return f"No sample of {signal} in the last {spoken(last_s)}.{names}"
