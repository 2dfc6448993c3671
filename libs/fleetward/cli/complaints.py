"""How a wrong command line is answered: framed on a terminal, in one line that can be searched elsewhere."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from fleetward.cli.exits import Exit, complain, exit_of_error
from fleetward.contracts.errors import FleetwardError


class Complaining(TyperGroup):
    """The root of the command line; ends the process with one of the exit codes."""

    def main(self, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 (whatever typer passes on)
        """Run it; an expected error is never a traceback, also where the command line is read."""
        try:
            if sys.stderr.isatty():
                return super().main(*arguments, **settings)
            settings["standalone_mode"] = False
            sys.exit(super().main(*arguments, **settings))
        except FleetwardError as error:
            complain(str(error))
            sys.exit(exit_of_error(error))
        except typer.Abort:
            complain("given up.")
            sys.exit(Exit.FAILED)
        except Exception as error:
            if not hasattr(error, "format_message"):  # typer's own base class has no public name
                raise
            _complain_of_usage(error)
            sys.exit(Exit.USAGE)


def _complain_of_usage(error: Any) -> None:  # noqa: ANN401 (typer's click, which it does not export)
    """Empty where the help was shown instead."""
    message = " ".join(error.format_message().split()).removeprefix("Invalid value: ")
    if not message:
        return
    where = error.ctx.command_path if getattr(error, "ctx", None) else "fleetward"
    end = "" if message.endswith((".", ")", "?")) else "."
    complain(f"{message}{end} `{where} --help` says more.")
