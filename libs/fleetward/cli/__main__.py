"""The ``fleetward`` command."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetward.cli import (
    alert,
    bridge,
    documents,
    events,
    history,
    keys,
    local,
    model,
    model_archive,
    model_diff,
    model_judge,
    model_push,
    model_repair,
    robot,
    robot_enrol,
    robot_logs,
    robot_recordings,
    robot_remove,
    robot_show,
    rollout,
    site,
    telemetry,
)
from fleetward.cli.complaints import Complaining

EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong command line (a malformed id, selector or "
    "policy too), 3 no system answers, "
    "4 rollout reverted, 5 rollout aborted, 6 waited too long, 130 interrupted."
)

app = typer.Typer(
    name="fleetward",
    cls=Complaining,
    epilog=EXIT_CODES,
    help="Deliver AI models to robots and prove that they work there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    model_push.push,
    model_diff.diff,
    model_judge.deprecate,
    model_judge.withdraw,
    model_judge.approve,
    model_judge.preflight,
    model_judge.report,
    model_judge.gates,
):
    model.app.command(command.__name__)(command)
model.app.command("history")(history.model_history)
model.app.command("export")(model_archive.export)
model.app.command("import")(model_archive.import_version)
model.app.command("prune")(model_archive.prune)
model.app.command("repair")(model_repair.repair)
robot.app.command("enrol")(robot_enrol.enrol)
robot.app.command("enroll")(robot_enrol.enrol)
robot.app.command("remove")(robot_remove.remove)
robot.app.command("show")(robot_show.show)
robot.app.command("record")(robot_recordings.record)
robot.app.command("recordings")(robot_recordings.recordings)
robot.app.command("logs")(robot_logs.logs)
robot.app.command("history")(history.robot_history)
app.add_typer(model.app, name="model")
app.add_typer(rollout.app, name="rollout")
app.add_typer(robot.app, name="robot")
app.add_typer(bridge.app, name="bridge")
app.add_typer(site.app, name="site")
app.add_typer(alert.app, name="alert")
app.add_typer(telemetry.app, name="telemetry")
app.add_typer(keys.app, name="keys")
app.command("up")(local.up)
app.command("provision")(local.provision)
app.command("events")(events.events)
app.command("apply")(documents.apply)
app.command("diff")(documents.diff)
app.command("schema")(documents.schema)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"fleetward {version('fleetward')}")
        raise typer.Exit


@app.callback()
def everywhere(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Deliver AI models to robots and prove that they work there."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
