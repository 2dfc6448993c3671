"""Runs a command against the system of a home directory, and turns errors into exit codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from fleetward.cli.exits import Exit, complain, exit_of_error

if TYPE_CHECKING:
    from fleetward.client import Fleet

DEFAULT_HOME = Path(".fleetward")


def _nearest(home: Path) -> Path:
    from fleetward.client.access import nearest_home

    return nearest_home(home)


Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="FLEETWARD_HOME",
        callback=_nearest,
        help="State directory of the running system; the default is looked for upwards.",
    ),
]
NewHome = Annotated[
    Path,
    typer.Option("--home", envvar="FLEETWARD_HOME", help="State directory, made if need be."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON with stable keys, for machines.")]


def with_fleet(home: Path, work: Callable[[Fleet], Awaitable[Exit | None]]) -> NoReturn:
    """Connect as operator, do ``work``, and end the process with its exit code."""

    async def connected() -> Exit | None:
        from fleetward.client import Fleet

        async with Fleet.connect(home) as fleet:
            return await work(fleet)

    end_with(connected)


def end_with(work: Callable[[], Awaitable[Exit | None]]) -> NoReturn:
    """Do ``work`` and end the process: expected errors in one line, never as a traceback."""
    import asyncio

    from fleetward.contracts.errors import FleetwardError

    _be_quiet()
    try:
        code = asyncio.run(_awaited(work))
    except FleetwardError as error:
        complain(str(error))
        code = exit_of_error(error)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:  # `fleetward ... | head`
        code = Exit.OK
    except OSError as error:
        if error.filename is None:
            raise
        complain(f"{error.filename} cannot be used: {error.strerror}.")
        code = Exit.FAILED
    raise typer.Exit(code)


async def _awaited(work: Callable[[], Awaitable[Exit | None]]) -> Exit:
    return await work() or Exit.OK


def _be_quiet() -> None:
    """Libraries log to nobody here: what a person needs to know is in the one line."""
    import logging

    logging.getLogger().addHandler(logging.NullHandler())


def show_json(plain: Any) -> None:  # noqa: ANN401 (whatever JSON can hold)
    """One JSON document on one line."""
    import json

    print(json.dumps(plain, ensure_ascii=False), flush=True)
