"""``fleetward robot``: who is in the fleet and what each robot serves."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet, RobotStatus

app = typer.Typer(help="Who is in the fleet and what each robot serves.", no_args_is_help=True)


@app.command("list")
def list_robots(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Every enrolled robot with what it last said about itself."""
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        robots, now = await fleet.robots(), datetime.now(timezone.utc)
        if as_json:
            show_json([plain.robot(robot, now) for robot in robots])
            return
        show_table(
            ["ROBOT", "SEEN", "ACTIVE MODEL", "GENERATION", "SERVED", "DROPPED", "LABELS"],
            [_row(robot, now) for robot in robots],
            when_empty="No robot is enrolled yet.",
        )

    with_fleet(home, work)


def _row(robot: RobotStatus, now: datetime) -> list[str]:
    labels = " ".join(f"{name}={value}" for name, value in sorted(robot.enrolled.labels.items()))
    last = robot.last
    if last is None:
        return [robot.enrolled.robot_id, "never", "", "", "", "", labels]
    return [
        robot.enrolled.robot_id,
        _seen(robot, now),
        str(last.active_model or ""),
        str(last.generation),
        str(last.frames_served),
        str(last.frames_dropped),
        labels,
    ]


def _seen(robot: RobotStatus, now: datetime) -> str:
    from fleetward.cli.durations import spoken

    silent_for = spoken(max(0.0, robot.silent_for_s(now) or 0.0))
    return f"silent for {silent_for}" if robot.is_silent(now) else f"{silent_for} ago"
