"""``fleetward robot remove``: what enrolment brought to a machine goes, and its key is void."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.robot_hosts import (
    PINS_FILE,
    AtOnce,
    DryRun,
    Fingerprint,
    Identity,
    Name,
    Prefix,
    TrustFirst,
    asked_of,
    progress,
    show_results,
    ssh_settings,
)
from fleetward.cli.session import DEFAULT_HOME, Home, Json, end_with

if TYPE_CHECKING:
    from fleetward.cli.exits import Exit
    from fleetward.enrolment.enrol import Asked

Hosts = Annotated[
    list[str], typer.Argument(metavar="USER@HOST...", help="As they were enrolled over SSH.")
]
KeepState = Annotated[
    bool,
    typer.Option("--keep-state", help="Leave models and telemetry that was not sent yet."),
]


def remove(
    hosts: Hosts,
    *,
    name: Name = "",
    fingerprints: Fingerprint = None,
    trust_first: TrustFirst = False,
    identities: Identity = None,
    prefix: Prefix = "",
    keep_state: KeepState = False,
    at_once: AtOnce = 8,
    dry: DryRun = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Undo `robot enrol USER@HOST`: stop the bridge, remove all of it, revoke its credentials.

    The robot's own programs are not touched. What is gone already is passed over, so a removal that
    was cut off is finished by the same command; --name says which robot it was where the machine no
    longer does.
    """
    asks = asked_of(hosts, name, fingerprints, prefix=prefix, trust_first=trust_first, dry=dry)
    end_with(
        lambda: _remove(asks, home, identities, at_once, keeps_state=keep_state, as_json=as_json)
    )


async def _remove(
    asks: Sequence[Asked],
    home: Path,
    identities: Sequence[Path] | None,
    at_once: int,
    *,
    keeps_state: bool,
    as_json: bool,
) -> Exit:
    from fleetward.enrolment.hub import opened
    from fleetward.enrolment.many import each
    from fleetward.enrolment.remove import Remover

    async with opened(home) as hub:
        pins = home / PINS_FILE
        remover = Remover(hub, pins, ssh_settings(identities), keeps_state=keeps_state)
        with progress([asked.host for asked in asks]) as told:
            results = await each(
                asks, remover.remove, host_of=lambda asked: asked.host, told=told, at_once=at_once
            )
    return show_results(results, as_json=as_json, dry=any(asked.dry for asked in asks))
