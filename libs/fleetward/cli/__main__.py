"""The ``fleetward`` command."""

from __future__ import annotations

import typer

from fleetward.cli import alert, events, local, model, robot, rollout, telemetry

app = typer.Typer(
    name="fleetward",
    help="Deliver AI models to robots and prove that they work there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(model.app, name="model")
app.add_typer(rollout.app, name="rollout")
app.add_typer(robot.app, name="robot")
app.add_typer(alert.app, name="alert")
app.add_typer(telemetry.app, name="telemetry")
app.command("up")(local.up)
app.command("provision")(local.provision)
app.command("events")(events.events)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
