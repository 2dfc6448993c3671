"""``fleetward alert``: what fires, what no longer does, what nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import AlertStatus, Fleet

app = typer.Typer(help="What fires, what no longer does, what nobody knows.", no_args_is_help=True)

_NONE_NOW = "No alert fires. `fleetward alert list --all` shows those that did."
_NONE_EVER = "No alert ever fired."


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Resolved alerts too.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """The newest incident of every alert that fires or is unknown, the newest first."""
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        from fleetward.client import AlertState

        alerts = [
            status
            for status in await fleet.alerts()
            if everything or status.state is not AlertState.RESOLVED
        ]
        if as_json:
            show_json([plain.alert(status) for status in alerts])
            return
        show_table(
            ["ALERT", "ROBOT", "STATE", "SEVERITY", "VALUE", "FIRED", "SUMMARY"],
            [_row(status) for status in alerts],
            when_empty=_NONE_EVER if everything else _NONE_NOW,
        )

    with_fleet(home, work)


def _row(status: AlertStatus) -> list[str]:
    from fleetward.client.timeline import with_its_zone

    fired = status.fired
    return [
        fired.alert,
        fired.robot_id,
        status.state.value,
        fired.severity.value,
        f"{fired.value:.4g}",
        with_its_zone(fired.fired_at),
        fired.summary or fired.expression,
    ]
