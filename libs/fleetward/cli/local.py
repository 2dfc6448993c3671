"""``fleetward up`` and ``fleetward provision``: bring a system to life."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.exits import Exit
from fleetward.cli.session import DEFAULT_HOME, Home, Json, NewHome, end_with, show_json

if TYPE_CHECKING:
    from fleetward.local.happenings import Happening

MAX_ROBOTS = 64
"""Each robot is two processes with a model in memory: a slip of the finger must not fill a machine."""


def up(
    robots: Annotated[
        int, typer.Option("--robots", min=0, max=MAX_ROBOTS, help="How many edge-bridges.")
    ] = 3,
    home: NewHome = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Run the whole system on this machine, until Ctrl-C."""

    def report(happening: Happening) -> None:
        if as_json:
            show_json(_plain(happening))
        else:
            print(line_of(happening, home), flush=True)

    async def work() -> Exit | None:
        from fleetward.local.up import run_up

        await run_up(home, robots, report=report)
        return None

    end_with(work)


def provision(
    url: Annotated[
        str | None, typer.Option("--url", help="The server. Default: the one of --home.")
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option("--credentials", help="The provisioner's. Default: of --home.")
    ] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Make the server's streams and consumers what the catalog says; harmless when they are."""

    async def work() -> Exit | None:
        from fleetward.bus.connection import BusSettings
        from fleetward.bus.provision import provision as provision_from_catalog
        from fleetward.client import Fleet
        from fleetward.client.access import Access, read_access
        from fleetward.contracts.catalog import CONSUMERS, STREAMS
        from fleetward.contracts.rows import Principal

        access = None
        if url is not None and credentials is not None:
            name = Principal.PROVISIONER.value
            access = Access(bus=BusSettings(url=url, credentials=credentials, name=name))
        access = access or read_access(home, Principal.PROVISIONER)
        async with Fleet.connect(access=access) as fleet:
            await provision_from_catalog(fleet.connection)
        print(f"{len(STREAMS)} streams and {len(CONSUMERS)} consumers are as the catalog says.")
        return None

    end_with(work)


def line_of(happening: Happening, home: Path) -> str:
    """The happening for people; once all is ready, what to do with it too."""
    from fleetward.local.happenings import SystemReady

    if not isinstance(happening, SystemReady):
        return str(happening)
    elsewhere = "" if home == DEFAULT_HOME else f" --home {home}"
    return (
        f"{happening}\n"
        "Ctrl-C stops it. In another terminal:\n"
        f"  fleetward robot list{elsewhere}\n"
        f"  fleetward model push FILE --name NAME --version VERSION{elsewhere}\n"
        f"  fleetward rollout start NAME:VERSION --to all --wait{elsewhere}"
    )


def _plain(happening: Happening) -> dict[str, object]:
    import msgspec

    fields: dict[str, object] = msgspec.to_builtins(happening, enc_hook=str)
    return {"event": type(happening).__name__, **fields}
