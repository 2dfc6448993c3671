"""``fleetward robot``: who is in the fleet, what each robot serves, and a new one's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, end_with, show_json, with_fleet
from fleetward.contracts.wording import shortened

if TYPE_CHECKING:
    from fleetward.client import Fleet, RobotStatus
    from fleetward.contracts.robots import PipelineStanding, RobotCheckedIn

FAILURE_CHARACTERS = 80
"""Of a failure in a table; --json has it whole."""

Where = Annotated[
    str,
    typer.Option(
        "--where",
        help="Those alone that a selector names, by labels and by what they say of themselves, as "
        "'site=berlin and model=detector:1.3 and not online'.",
    ),
]

app = typer.Typer(help="Who is in the fleet and what each robot serves.", no_args_is_help=True)


@app.command("list")
def list_robots(where: Where = "all", home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Every enrolled robot with what it last said about itself."""
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table
    from fleetward.client.owners import owners

    async def work(fleet: Fleet) -> None:
        robots, now = await fleet.robots(where), datetime.now(timezone.utc)
        if as_json:
            held = await owners(fleet.connection)
            show_json(
                [plain.robot(robot, now, held.get(robot.enrolled.robot_id, {})) for robot in robots]
            )
            return
        show_table(
            [
                "ROBOT",
                "SEEN",
                "ACTIVE MODEL",
                "GENERATION",
                "SERVED",
                "DROPPED",
                "LABELS",
                "TROUBLE",
            ],
            [row_of(robot, now) for robot in robots],
            when_empty=await _nobody(fleet, where) if not robots else "",
        )

    with_fleet(home, work)


async def _nobody(fleet: Fleet, where: str) -> str:
    from fleetward.contracts.selectors import meant_robot

    known = {robot.enrolled.robot_id for robot in await fleet.robots()}
    if not known:
        return "No robot is enrolled yet."
    return f"No robot is {where}.{meant_robot(where, known)}"


@app.command("label")
def label(
    robot: Annotated[str, typer.Argument(metavar="ROBOT", help="The robot's id.")],
    changes: Annotated[
        list[str],
        typer.Argument(metavar="CHANGE...", help="NAME=VALUE sets a label, NAME- removes it."),
    ],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Set and remove labels of a robot, with the rights of whoever enrols; the others stay.

    A label with commas has several values: tag=demo,night answers tag=demo.
    """
    from fleetward.cli.pairs import pairs_of

    taken = [change[:-1] for change in changes if "=" not in change and change.endswith("-")]
    set_to = [each for each in changes if each.removesuffix("-") not in taken]
    neither = "sets and removes nothing; write NAME=VALUE or NAME-."
    given = pairs_of("CHANGE", set_to, neither)

    async def work() -> None:
        from fleetward.client import Fleet
        from fleetward.client.labels import label as labelled
        from fleetward.contracts.ids import robot_id
        from fleetward.contracts.rows import Principal

        async with Fleet.connect(home, principal=Principal.ENROLLER) as fleet:
            now = await labelled(fleet.connection, robot_id(robot), given, taken)
        if as_json:
            show_json({"robot_id": now.robot_id, "labels": now.labels})
        else:
            print(f"{now.robot_id}: {spoken_labels(now.labels) or 'no labels'}")

    end_with(work)


def row_of(robot: RobotStatus, now: datetime) -> list[str]:
    """A robot's line of the table; the last cell says why it does not serve what it was given."""
    labels = spoken_labels(robot.enrolled.labels)
    last = robot.last
    if last is None:
        return [robot.enrolled.robot_id, "never", "", "", "", "", labels, ""]
    return [
        robot.enrolled.robot_id,
        seen(robot, now),
        serving(last),
        str(last.generation),
        str(last.frames_served),
        str(last.frames_dropped),
        labels,
        _trouble(robot, last),
    ]


def _trouble(robot: RobotStatus, last: RobotCheckedIn) -> str:
    """Why it failed, or else why it waits although it could serve what it was given."""
    if robot.failure:
        return f"✗ {shortened(robot.failure, FAILURE_CHARACTERS)}"
    told = [f"held back: {last.held_back}"] if last.held_back else []
    told += [
        f"{each.name} held back: {each.held_back}" for each in last.pipelines if each.held_back
    ]
    if last.rules is not None and last.rules.trouble:
        told.append(f"rules: {last.rules.trouble}")
    return "; ".join(shortened(each, FAILURE_CHARACTERS) for each in told)


def spoken_labels(labels: Mapping[str, str]) -> str:
    """hw=thor site=berlin."""
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def serving(last: RobotCheckedIn) -> str:
    """What it serves, what it holds warm or shows its frames beside that, and what is on its way.

    Of a robot with pipelines, one model after the other.
    """
    beside = [_standing(each, str(each.active_model or each.name)) for each in last.pipelines]
    own = _standing(last, str(last.active_model or ""))
    return " + ".join(each for each in (own, *beside) if each)


def _standing(said: RobotCheckedIn | PipelineStanding, active: str) -> str:
    from fleetward.cli.rollout_view import fetched_so_far

    if said.staged_model is not None:
        active = f"{active} (staged {said.staged_model})".lstrip()
    if said.shadow_model is not None:
        active = f"{active} (shadow {said.shadow_model})".lstrip()
    if said.fetching is None:
        return active
    return f"{active} ← {said.fetching.model} {fetched_so_far(said.fetching)}".lstrip()


def seen(robot: RobotStatus, now: datetime) -> str:
    from fleetward.cli.durations import spoken

    silent_for = spoken(max(0.0, robot.silent_for_s(now) or 0.0))
    return f"silent for {silent_for}" if robot.is_silent(now) else f"{silent_for} ago"
