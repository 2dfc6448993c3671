"""``fleetward bridge push``: a release of the bridge itself, to be rolled out as a model is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.session import DEFAULT_HOME, Home, Json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet

app = typer.Typer(
    no_args_is_help=True, help="Publish releases of the robots' bridge, to be rolled out to them."
)

Arch = Annotated[str, typer.Option("--arch", help="The robots' processor, aarch64 or x86_64.")]
Python = Annotated[
    str, typer.Option("--python", help="The robots' Python: 3.10 on JetPack 6, 3.12 on JetPack 7.")
]
Glibc = Annotated[str, typer.Option("--glibc", help="The oldest that they have.")]
Version = Annotated[
    str, typer.Option("--version", help="Default: the version of edge-bridge in the wheelhouse.")
]
For = Annotated[
    str,
    typer.Option(
        "--for",
        help="A selector over labels: this is for these robots alone, and --version is written "
        "VERSION+VARIANT. Needed when robots differ in processor or Python.",
    ),
]
House = Annotated[
    Path | None,
    typer.Option(
        "--wheelhouse",
        help="Wheels, made with `make wheelhouse`. Default: wheelhouse/ in the state directory.",
    ),
]

Extras = Annotated[
    list[str] | None,
    typer.Option(
        "--extra",
        help="Of the bridge, as often as needed: rules, foxglove, video, mcap, tensorrt. A robot whose "
        "settings need one takes no release without it.",
    ),
]


@app.callback()
def bridge() -> None:
    """Releases of the robots' bridge."""


@app.command("push")
def push(
    *,
    arch: Arch,
    python: Python,
    glibc: Glibc = "2.35",
    version: Version = "",
    fits: For = "",
    extras: Extras = None,
    wheelhouse: House = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Pack the bridge from a wheelhouse, have it verified and signed, and announce it as edge-bridge:VERSION.

    Then: fleetward rollout start edge-bridge:VERSION. Robots that were enrolled over SSH take it; each
    installs it beside the release that runs, tries it, and goes back by itself when it is no good.
    """
    import tempfile

    from fleetward.cli.model_push import progress_bar, show_pushed
    from fleetward.contracts.bridge_release import BRIDGE_MODEL
    from fleetward.releases.archive import Platform

    async def work(fleet: Fleet) -> None:
        from fleetward.enrolment.release import pack
        from fleetward.enrolment.wheelhouse import Wheelhouse

        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "release.tar"
            house = Wheelhouse(wheelhouse or home / "wheelhouse")
            lock = pack(house, Platform(python=python, arch=arch, glibc=glibc), path, extras or ())
            with progress_bar(path) as progress:
                pushed = await fleet.push_model(
                    path, BRIDGE_MODEL, version or lock.version, progress=progress, fits=fits
                )
        show_pushed(pushed, as_json=as_json)

    with_fleet(home, work)
